package hub

import (
	"bytes"
	"encoding/json"
)

// What nodes ask and answer each other is a line of JSON, and behind it the bytes that come with it as they are: no
// base64 of a body.

// appendBytes makes a message of what is in the line, and what comes behind it.
func appendBytes(line any, rest []byte) ([]byte, error) {
	raw, err := json.Marshal(line) // has no line feed
	if err != nil {
		return nil, err
	}
	return append(append(raw, '\n'), rest...), nil
}

// cutBytes reads the line of a message, and returns what comes behind it.
func cutBytes(message []byte, line any) (rest []byte, err error) {
	raw, rest, _ := bytes.Cut(message, []byte{'\n'})
	return rest, json.Unmarshal(raw, line)
}

func (r *nodeRequest) encode() ([]byte, error) { return appendBytes(r, r.Text) }

func (r *nodeRequest) decode(message []byte) (err error) {
	r.Text, err = cutBytes(message, r)
	return err
}

func (a *nodeAnswer) encode() ([]byte, error) { return appendBytes(a, a.Body) }

func (a *nodeAnswer) decode(message []byte) (err error) {
	a.Body, err = cutBytes(message, a)
	return err
}
