package signing

import (
	"encoding/json"
	"math"
	"strings"
	"time"
)

// TokenPrefix begins every signed token. A bearer token without it is not ours
// to judge.
const TokenPrefix = "dstok_"

const tokenNamespace = "token"

// TokenError says why a token is refused. Its text is meant for whoever sent
// the token; clients of Datasette know these texts.
type TokenError string

// Error returns the text.
func (e TokenError) Error() string { return string(e) }

// The reasons to refuse a token, in the order in which they are found.
const (
	// ErrTokensDisabled is for the caller who reads the setting
	// allow_signed_tokens; VerifyToken does not know it.
	ErrTokensDisabled   TokenError = "Signed tokens are not enabled for this Datasette instance"
	ErrTokenPrefix      TokenError = "Not a signed token"
	ErrTokenSignature   TokenError = "Invalid token signature"
	ErrTokenNoTimestamp TokenError = "Invalid token: no timestamp"
	ErrTokenTimestamp   TokenError = "Invalid token: invalid timestamp"
	ErrTokenDuration    TokenError = "Invalid token: invalid duration"
	ErrTokenExpired     TokenError = "Token has expired"
	ErrTokenNoActor     TokenError = "Invalid token: no actor"
)

// Token is what a signed token says.
type Token struct {
	Actor        any            `json:"a"`           // the actor's id, a text or a number
	Created      int64          `json:"t"`           // Unix seconds
	Duration     int64          `json:"d,omitempty"` // seconds; 0 for no end
	Restrictions map[string]any `json:"_r,omitzero"` // nil for none; an empty one allows nothing
}

// SignToken returns the text of a token: "dstok_" and the signed JSON.
func (s Signer) SignToken(t Token) (string, error) {
	signed, err := s.Sign(tokenNamespace, t)
	if err != nil {
		return "", err
	}
	return TokenPrefix + signed, nil
}

// VerifyToken returns the actor of a token: its "id", "token": "dstok" and, if
// the token has them, its restrictions "_r" and the Unix second
// "token_expires". A maxTTL above 0 is the longest a token may live, also one
// that names no duration. Every error is a TokenError.
func (s Signer) VerifyToken(text string, now time.Time, maxTTL int64) (map[string]any, error) {
	signed, ok := strings.CutPrefix(text, TokenPrefix)
	if !ok {
		return nil, ErrTokenPrefix
	}
	var payload any
	if s.Unsign(tokenNamespace, signed, &payload) != nil {
		return nil, ErrTokenSignature
	}
	fields, _ := payload.(map[string]any)
	created, duration, err := lifetime(fields)
	if err != nil {
		return nil, err
	}
	duration = limit(duration, maxTTL)
	expires := addSeconds(created, duration)
	if duration != 0 && after(now, expires) {
		return nil, ErrTokenExpired
	}
	actor, err := tokenActor(fields)
	if err == nil && duration != 0 {
		actor["token_expires"] = expires
	}
	return actor, err
}

// lifetime returns a token's "t" and "d"; the duration is 0 when there is none.
func lifetime(fields map[string]any) (created, duration int64, err error) {
	t, ok := fields["t"]
	if !ok {
		return 0, 0, ErrTokenNoTimestamp
	}
	if created, ok = integer(t); !ok {
		return 0, 0, ErrTokenTimestamp
	}
	d := fields["d"]
	if d == nil {
		return created, 0, nil
	}
	if duration, ok = integer(d); !ok {
		return 0, 0, ErrTokenDuration
	}
	return created, duration, nil
}

// limit applies the longest allowed life to a duration, where 0 is without end.
func limit(duration, maxTTL int64) int64 {
	if maxTTL <= 0 {
		return duration
	}
	if duration == 0 {
		return maxTTL
	}
	return min(duration, maxTTL)
}

// addSeconds adds without wrapping around: a token that lives "for ever" must
// not become one that has expired, nor the other way round.
func addSeconds(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

// tokenActor copies "_r" as it is, even when it makes no sense: an actor who
// has it is restricted, and dropping it would free them.
func tokenActor(fields map[string]any) (map[string]any, error) {
	id := fields["a"]
	switch id.(type) {
	case string, json.Number:
	default:
		return nil, ErrTokenNoActor
	}
	actor := map[string]any{"id": id, "token": "dstok"}
	if r, ok := fields["_r"]; ok {
		actor["_r"] = r
	}
	return actor, nil
}
