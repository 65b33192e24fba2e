package sandbox

import (
	"bytes"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// SealOnDisk is Seal on a system that does not execute memory.
func SealOnDisk(path, store string) (*Program, error) {
	return seal(path, store, Script{}, func(string, io.Reader) (*os.File, error) { return nil, unix.EACCES })
}

// AlsoExecuted is alsoExecuted for a file that holds data.
func AlsoExecuted(data []byte) []string { return alsoExecuted(bytes.NewReader(data)) }

// Runnable is runnable for the tests.
func (p *Program) Runnable() string { return p.runnable() }

// Argument is what Enter looks for.
const Argument = argument

// GroupMount is groupMount for the tests.
var GroupMount = groupMount

// Delegated is delegated for the tests.
var Delegated = delegated

// Limit sets the limits of a folder that looks like a control group.
func Limit(folder string, memory int64) error { return (&group{path: folder}).limit(memory) }
