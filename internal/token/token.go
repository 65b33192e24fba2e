// Package token uses a key inside an HSM, a smart card or a TPM, through the
// vendor's PKCS#11 module, to wrap a root key.
//
// A module is a shared library of somebody else, which can crash, hang or
// overwrite the memory of the process that loads it. So that process is not
// the host: [Enter] turns another process of this same program into a helper
// that does one [Request] and ends. It is given the request in a pipe, because
// arguments and environment can be seen by others, and it ends when that pipe
// is closed: when the host does, or gives it up.
//
//	host ── pipe: one Request ──▶ helper ── dlopen ──▶ module ──▶ token
//	     ◀─ pipe: Stage…, Result ─┘
//
// # What is stored
//
// The wrapped root key depends on the mechanism:
//
//	aes-gcm            length of the IV in 1 byte, IV, ciphertext and tag
//	aes-key-wrap-pad   as CKM_AES_KEY_WRAP_PAD makes it
//	aes-key-wrap       as CKM_AES_KEY_WRAP makes it
//	aes-cbc-hmac       IV of 16 bytes, ciphertext of CKM_AES_CBC_PAD, CKM_SHA256_HMAC over label, IV and ciphertext
//	rsa-oaep-sha256    as CKM_RSA_PKCS_OAEP makes it
//	rsa-oaep-sha1      as CKM_RSA_PKCS_OAEP makes it
//	rsa-pkcs1          as CKM_RSA_PKCS makes it; only if it is allowed by name
//
// What RSA wraps is encrypted by this program with the public key, and
// decrypted by the token.
package token

import "time"

// rootLen is the length of a root key in bytes.
const rootLen = 32

// The operations of a helper.
const (
	OpWrap   = "wrap"
	OpUnwrap = "unwrap"
	OpInit   = "init"
	OpDoctor = "doctor"
)

// Request is what a helper is to do.
type Request struct {
	Op        string
	URI       URI
	PIN       string `json:",omitempty"` // empty: the token is asked without one
	HasPIN    bool
	Mechanism string `json:",omitempty"` // empty: the first that works
	// AllowPKCS1 lets rsa-pkcs1 be used, which a token may make an oracle of.
	AllowPKCS1 bool   `json:",omitempty"`
	Data       []byte `json:",omitempty"` // the root key, or the wrapped one
}

// Stage is how far a helper has come, for the case that it comes no further.
type Stage string

// The stages.
const (
	StageLoading  Stage = "loading"   // the module is being loaded
	StageLogin    Stage = "login"     // the PIN is on its way: whether it was counted is not known
	StageLoggedIn Stage = "logged in" // the PIN was accepted
)

// Answer is one line of a helper: a stage, or its last words.
type Answer struct {
	Stage  Stage   `json:",omitempty"`
	Result *Result `json:",omitempty"`
}

// Result is what became of a request.
type Result struct {
	Failure   *Failure `json:",omitempty"` // nil: it was done
	Data      []byte   `json:",omitempty"` // the wrapped root key, or the root key
	Mechanism string   `json:",omitempty"` // that was used
	Key       *KeyInfo `json:",omitempty"` // that was used or made
	Report    *Report  `json:",omitempty"` // of OpDoctor
}

// KeyInfo is what a token says of a key.
type KeyInfo struct {
	Label       string `json:"label"`
	ID          string `json:"id"`   // hexadecimal
	Kind        string `json:"kind"` // "AES" or "RSA"
	Bits        int    `json:"bits"` // 0: the token does not say
	Token       string `json:"token"`
	Serial      string `json:"serial"`
	Sensitive   bool   `json:"sensitive"`
	Extractable bool   `json:"extractable"`
	Local       bool   `json:"local"` // it was made on the token
}

// Report is what the doctor finds, in the order in which it looks. What comes
// after a failure is missing.
type Report struct {
	Library    string     `json:"library"` // description and version
	Cryptoki   string     `json:"cryptoki"`
	Slots      []SlotInfo `json:"slots"`
	Token      string     `json:"token"` // label of the one that the URI means
	Firmware   string     `json:"firmware"`
	Login      string     `json:"login"`
	Mechanisms []string   `json:"mechanisms"` // all that the token lists
	Key        *KeyInfo   `json:"key"`
	Trials     []Trial    `json:"trials"`
	Problems   []string   `json:"problems"`
}

// SlotInfo is one slot, and the token in it.
type SlotInfo struct {
	ID          uint   `json:"id"`
	Description string `json:"description"`
	Label       string `json:"label"`
	Maker       string `json:"manufacturer"`
	Model       string `json:"model"`
	Serial      string `json:"serial"`
	Firmware    string `json:"firmware"`
	Chosen      bool   `json:"chosen"`
}

// Trial is a real wrap and unwrap with one mechanism.
type Trial struct {
	Mechanism string        `json:"mechanism"`
	Works     bool          `json:"works"`
	Error     string        `json:"error,omitempty"`
	Wrap      time.Duration `json:"wrap_ns"`
	Unwrap    time.Duration `json:"unwrap_ns"`
}
