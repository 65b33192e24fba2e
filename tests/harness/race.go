//go:build race

package harness

// race tells that the tests run under the race detector, so that the programs
// they start must as well.
const race = true
