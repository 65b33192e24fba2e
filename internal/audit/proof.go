package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// proofVersion is the first line of a proof, by https://c2sp.org/tlog-proof.
const proofVersion = "c2sp.org/tlog-proof@v1"

// maxProof bounds the text of a proof in bytes: a tree has at most 63 levels.
const maxProof = MaxHead + 8<<10

// Proof returns a text that proves that the entry with this id is in the log
// that a signed head is of, to everybody who knows the entry's leaf and the key
// that signed. It has the format of https://c2sp.org/tlog-proof.
func Proof(id int64, head Head, signed string, read tlog.HashReader) (string, error) {
	if id < 1 || id > head.Size {
		return "", fmt.Errorf("the signed head is of %d entries, and says nothing about entry %d", head.Size, id)
	}
	hashes, err := tlog.ProveRecord(head.Size, id-1, read)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nindex %d\n", proofVersion, id-1)
	for _, hash := range hashes {
		fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(hash[:]))
	}
	fmt.Fprintf(&b, "\n%s", signed)
	return b.String(), nil
}

// CheckProof checks a text of Proof for an entry's leaf. It returns the id that
// the entry has in the log, and the head.
func CheckProof(proof string, leaf tlog.Hash, verifying ...string) (id int64, head Head, err error) {
	if len(proof) > maxProof {
		return 0, Head{}, errors.New("it is too long")
	}
	top, signed, found := strings.Cut(proof, "\n\n")
	lines := strings.Split(top, "\n")
	if !found || len(lines) < 2 || lines[0] != proofVersion || !strings.HasPrefix(lines[1], "index ") {
		return 0, Head{}, errors.New("it is not a proof of a log")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil || index < 0 {
		return 0, Head{}, errors.New("its index is not a number")
	}
	var hashes tlog.RecordProof
	for _, line := range lines[2:] {
		raw, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return 0, Head{}, errors.New("one of its hashes is not one")
		}
		hashes = append(hashes, tlog.Hash(raw))
	}
	if head, err = OpenHead(signed, verifying...); err != nil {
		return 0, Head{}, err
	}
	if index >= head.Size {
		return 0, Head{}, errors.New("its index is beyond its head")
	}
	if err := tlog.CheckRecord(hashes, head.Size, head.Root, index, leaf); err != nil {
		return 0, Head{}, errors.New("the entry is not in the log that it speaks of")
	}
	return index + 1, head, nil
}

// CheckEntry checks a text of Proof for an entry with all that it says, and returns
// the head of the log that has it.
func CheckEntry(proof string, entry Stored, verifying ...string) (Head, error) {
	if entry.Pruned {
		return Head{}, errors.New("it says nothing: its fields were pruned")
	}
	if !entry.isWhole() {
		return Head{}, errEdited
	}
	id, head, err := CheckProof(proof, tlog.Hash(entry.Leaf), verifying...)
	if err == nil && id != entry.ID {
		err = fmt.Errorf("the proof is of entry %d", id)
	}
	return head, err
}
