// Package signing reads and writes the signed values that this host shares
// with Datasette: the ds_actor and ds_messages cookies and the dstok_ tokens.
// Whoever is signed in to one is signed in to the other, as long as both have
// the same secret. It also makes the tokens that go with an actor to a plugin
// and back; Datasette has no such thing.
//
// # The format
//
// It is that of itsdangerous' URLSafeSerializer, with the namespace as salt:
//
//	signed  = payload "." base64url( HMAC-SHA1( key, payload ) )
//	payload = base64url( json )  or  "." base64url( zlib( json ) )
//	key     = SHA1( namespace "signer" secret )
//
// base64url is written without padding. The namespace is part of the key, so
// that a cookie can never pass as a token. There is no timestamp in the format
// itself: what expires says so in its JSON.
//
// # Who is trusted
//
// A value comes from a browser, and only its signature makes it trustworthy:
// nothing is decoded before the signature has been checked. What is inside can
// still be odd, because every program that knows the secret may sign anything.
// The readers of cookies therefore answer "nobody" or "nothing" to whatever
// they do not understand, and never fail.
package signing

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// ErrBadSignature is the error of a value that was not signed with this secret
// and namespace, or that cannot be decoded.
var ErrBadSignature = errors.New("bad signature")

var errNoSecret = errors.New("the signing secret is empty")

// maxInflated is the largest JSON that a compressed payload may hold. It is far
// above what fits in a cookie and far below what hurts.
const maxInflated = 64 << 10

// Signer signs and verifies values with one secret. The zero Signer, like one
// with an empty secret, signs nothing and accepts nothing.
type Signer struct {
	// A pointer, because fmt prints the unexported fields of a struct.
	secret *string
}

// New returns a Signer with the given secret, which should be long and random.
func New(secret string) Signer { return Signer{secret: &secret} }

// Sign returns v as JSON, signed for a namespace. It never compresses.
func (s Signer) Sign(namespace string, v any) (string, error) {
	if s.empty() {
		return "", errNoSecret
	}
	data, err := encodeJSON(v)
	if err != nil {
		return "", fmt.Errorf("encoding the value to sign: %w", err)
	}
	payload := base64.RawURLEncoding.EncodeToString(data)
	return payload + "." + base64.RawURLEncoding.EncodeToString(s.mac(namespace, payload)), nil
}

// Unsign verifies a signed value and decodes its JSON into a pointer. Numbers
// in interfaces become json.Number. Every error is ErrBadSignature.
func (s Signer) Unsign(namespace, signed string, into any) error {
	payload, err := s.verify(namespace, signed)
	if err != nil {
		return err
	}
	data, err := decodePayload(payload)
	if err != nil {
		return fmt.Errorf("%w: decoding the payload: %w", ErrBadSignature, err)
	}
	if err := decodeJSON(data, into); err != nil {
		return fmt.Errorf("%w: decoding the JSON", ErrBadSignature)
	}
	return nil
}

// verify returns the payload of a signed value, still encoded.
func (s Signer) verify(namespace, signed string) (string, error) {
	i := strings.LastIndexByte(signed, '.')
	if i < 0 || s.empty() {
		return "", ErrBadSignature
	}
	mac, err := decodeBase64(signed[i+1:])
	if err != nil {
		return "", ErrBadSignature
	}
	if !hmac.Equal(mac, s.mac(namespace, signed[:i])) {
		return "", ErrBadSignature
	}
	return signed[:i], nil
}

func (s Signer) empty() bool { return s.secret == nil || *s.secret == "" }

func (s Signer) mac(namespace, payload string) []byte {
	key := sha1.Sum([]byte(namespace + "signer" + *s.secret))
	h := hmac.New(sha1.New, key[:])
	h.Write([]byte(payload))
	return h.Sum(nil)
}

func decodePayload(payload string) ([]byte, error) {
	encoded, compressed := strings.CutPrefix(payload, ".")
	data, err := decodeBase64(encoded)
	if err != nil || !compressed {
		return data, err
	}
	return inflate(data)
}

func inflate(data []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxInflated {
		return nil, fmt.Errorf("longer than %d bytes when inflated", maxInflated)
	}
	return out, nil
}

// decodeBase64 accepts one spelling of each value: no padding, no unused bits
// and no line breaks, which encoding/base64 would skip.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break in base64")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeJSON decodes exactly one JSON value. Text that is not UTF-8 is an
// error, as it is in Python; encoding/json would put other characters in its
// place, and so could turn one id into another.
func decodeJSON(data []byte, into any) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}
