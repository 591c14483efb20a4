package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// parseURL reads the address of a Redis. Its error names no password.
func parseURL(text string) (rueidis.ClientOption, error) {
	parse := rueidis.ParseURL
	if scheme, _, _ := strings.Cut(text, "://"); strings.HasSuffix(scheme, sentinelSuffix) {
		parse = parseSentinelURL
	}
	opts, err := parse(text)
	var whole *url.Error
	if errors.As(err, &whole) {
		err = whole.Err // without the URL
	}
	return opts, err
}

const (
	sentinelSuffix = "+sentinel"
	sentinelPort   = "26379"
)

// parseSentinelURL reads the addresses of sentinels, who know which server is the master:
//
//	redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…]/MASTER[/DATABASE][?sentinel_user=…&sentinel_password=…]
//
// and rediss+sentinel:// with TLS to all of them. User and password are those of the master; the sentinels may have
// their own.
func parseSentinelURL(text string) (opts rueidis.ClientOption, err error) {
	scheme, rest, _ := strings.Cut(text, sentinelSuffix+"://")
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	i := strings.LastIndexByte(authority, '@') + 1
	user, hosts := authority[:i], strings.Split(authority[i:], ",")
	u, err := url.Parse(scheme + "://" + user + "sentinel" + path) // which takes no list
	if err != nil {
		return opts, err
	}
	for _, host := range hosts {
		if host == "" {
			return opts, errors.New("a sentinel's address is missing: redis+sentinel://HOST:PORT,HOST:PORT/MASTER")
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), sentinelPort)
		}
		opts.InitAddress = append(opts.InitAddress, host)
	}
	switch u.Scheme {
	case "redis", "valkey":
	case "rediss", "valkeys":
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12} // each server's name is that in its address
	default:
		return opts, fmt.Errorf("invalid URL scheme: %s%s", u.Scheme, sentinelSuffix)
	}
	opts.Username = u.User.Username()
	opts.Password, _ = u.User.Password()
	master, database, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if master == "" {
		return opts, errors.New("the name of the master is missing: redis+sentinel://HOST:PORT,HOST:PORT/MASTER")
	}
	if database != "" {
		if opts.SelectDB, err = strconv.Atoi(database); err != nil || opts.SelectDB < 0 {
			return opts, fmt.Errorf("invalid database number: %q", database)
		}
	}
	opts.Sentinel = rueidis.SentinelOption{
		MasterSet: master, TLSConfig: opts.TLSConfig,
		Username: u.Query().Get("sentinel_user"), Password: u.Query().Get("sentinel_password"),
		TopologyRefreshInterval: 5 * time.Second, // should the word that the master is another one be lost
	}
	return opts, nil
}
