// Package audit makes a log that shows when somebody has edited it.
//
// # The idea
//
// Every act on a secret is an [Entry]. Its [Entry.Leaf] is a hash of all its
// fields and a random salt. The leaves are those of a Merkle tree, as in
// certificate transparency (RFC 6962): whoever knows the hash of the whole tree
// at one time, a [Head], can tell whether any entry up to then was changed,
// removed, inserted or moved. Heads are signed, and one that is kept elsewhere
// also tells when the whole database was put back to an older state.
//
//	entry 0   entry 1   entry 2        [Entry]: who did what to which secret
//	   │         │         │
//	 leaf 0    leaf 1    leaf 2        salted, so that a leaf tells nothing
//	    └───┬────┘         │
//	     node 0-1          │
//	        └──────┬───────┘
//	             head 3                signed: "three entries, and this is their hash"
//
// The tree and its proofs are those of golang.org/x/mod/sumdb/tlog, and heads
// are checkpoints (https://c2sp.org/tlog-checkpoint) as golang.org/x/mod/sumdb/note
// signs them, so that other programs can check them too.
//
// This package knows no database. Where entries and hashes are kept is the
// caller's part; see [Tree] and [Source].
package audit

import (
	"encoding/binary"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// SaltSize is the size of an entry's salt in bytes.
const SaltSize = 16

// Entry is one act: who did what to which secret, and whether it was allowed.
// It never holds a value, a ciphertext, a token or a key.
type Entry struct {
	ID        int64     // 1 and up, without gaps
	Time      time.Time // kept in milliseconds
	Action    string    // such as "get" or "put"
	Name      string    // of the secret
	SecretID  int64     // the row of datasette_secrets; 0 for none
	Version   int64     // of the secret; 0 for none
	ActorID   string
	Proof     string // how the actor is known, as secrets.Proof
	Plugin    string
	Client    string
	Source    string // where the value came from
	Allowed   bool
	Reason    string // the rule that decided, or why it failed
	RequestID string
	Remote    string // the address of who asked
}

// TimeLayout is how an entry's time is written, in UTC.
const TimeLayout = "2006-01-02 15:04:05.000"

// Leaf is the hash of an entry with its salt. Each field is preceded by its
// length, so that no two entries have the same text.
func (e Entry) Leaf(salt [SaltSize]byte) tlog.Hash {
	text := append(make([]byte, 0, 512), "datasette-secrets log entry 1"...)
	text = append(text, salt[:]...)
	var short [32]byte
	text = appendFields(text, strconv.AppendInt(short[:0], e.ID, 10))
	text = appendFields(text, appendTime(short[:0], e.Time.UTC()))
	text = appendFields(text, e.Action, e.Name)
	text = appendFields(text, strconv.AppendInt(short[:0], e.SecretID, 10))
	text = appendFields(text, strconv.AppendInt(short[:0], e.Version, 10))
	text = appendFields(text, e.ActorID, e.Proof, e.Plugin, e.Client, e.Source)
	text = appendFields(text, strconv.AppendBool(short[:0], e.Allowed))
	text = appendFields(text, e.Reason, e.RequestID, e.Remote)
	return tlog.RecordHash(text)
}

// appendTime writes a time of UTC in TimeLayout, in a third of the time that
// AppendFormat takes for any layout.
func appendTime(text []byte, t time.Time) []byte {
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(text, TimeLayout)
	}
	hour, minute, second := t.Clock()
	text = append(appendDigits(text, year, 1000), '-')
	text = append(appendDigits(text, int(month), 10), '-')
	text = append(appendDigits(text, day, 10), ' ')
	text = append(appendDigits(text, hour, 10), ':')
	text = append(appendDigits(text, minute, 10), ':')
	text = append(appendDigits(text, second, 10), '.')
	return appendDigits(text, t.Nanosecond()/int(time.Millisecond), 100)
}

// appendDigits writes n, whose first digit stands for so many.
func appendDigits(text []byte, n, place int) []byte {
	for ; place > 0; place /= 10 {
		text = append(text, '0'+byte(n/place%10))
	}
	return text
}

func appendFields[T string | []byte](text []byte, fields ...T) []byte {
	for _, field := range fields {
		text = binary.BigEndian.AppendUint32(text, uint32(len(field)))
		text = append(text, field...)
	}
	return text
}
