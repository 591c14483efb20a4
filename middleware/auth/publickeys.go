package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// minRSABits is the minimum size of an RSA key (RFC 7518 §3.3).
const minRSABits = 2048

// publicKey is a key that verifies tokens. Its type determines its only algorithm, so that a token's header cannot
// choose how a key is used (RFC 8725 §3.1).
type publicKey struct {
	kid string // "" where it has none
	alg string // RS256, ES256, ES384, ES512 or EdDSA
	key any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// publicAlgs are the algorithms that a publicKey may have.
var publicAlgs = []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"}

// newPublicKey determines the key's algorithm. Unsupported types and curves, and short RSA keys, are errors.
func newPublicKey(kid string, key any) (publicKey, error) {
	k := publicKey{kid: kid, key: key}
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return publicKey{}, fmt.Errorf("the RSA key has %d bits; at least %d are needed",
				key.N.BitLen(), minRSABits)
		}
		k.alg = "RS256"
	case *ecdsa.PublicKey:
		switch key.Curve.Params().BitSize { // RFC 7518 §3.4: the curve determines the algorithm
		case 256:
			k.alg = "ES256"
		case 384:
			k.alg = "ES384"
		case 521:
			k.alg = "ES512"
		default:
			return publicKey{}, fmt.Errorf("the curve %s is not supported; use P-256, P-384 or P-521",
				key.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		k.alg = "EdDSA"
	default:
		return publicKey{}, fmt.Errorf("a key of type %T is not supported; use RSA, EC or Ed25519", key)
	}
	return k, nil
}

// parsePublicKeys parses one or more PEM blocks: public keys (PKIX or PKCS #1) or certificates, of which it only uses
// the key and ignores the validity period. Anything but white space between and after the blocks is an error, and so is
// a private key.
func parsePublicKeys(text []byte) ([]publicKey, error) {
	var keys []publicKey
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if !bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
			return nil, errors.New("public key: not PEM text; it must begin with -----BEGIN PUBLIC KEY-----")
		}
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("public key: the PEM text is damaged")
		}
		parsed, err := parsePEMBlock(block)
		if err != nil {
			return nil, fmt.Errorf("public key, PEM block %d: %w", len(keys)+1, err)
		}
		key, err := newPublicKey("", parsed)
		if err != nil {
			return nil, fmt.Errorf("public key, PEM block %d: %w", len(keys)+1, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("public key: the PEM text is empty")
	}
	return keys, nil
}

func parsePEMBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("this is a private key, which belongs to the issuer of tokens alone; " +
			"give the public one (openssl pkey -pubout)")
	}
	return nil, fmt.Errorf("%.40q is no public key", block.Type)
}
