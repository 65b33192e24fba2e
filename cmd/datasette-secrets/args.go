package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// separator joins the tokens of one value. No argument of a process can hold
// it.
const separator = "\x00"

// arity is the annotation of a flag that takes more than one token, as -s does.
const arity = "datasette-secrets/arity"

// normalize turns arguments as Datasette's command line takes them into ones
// that cobra takes: "serve" is put in front when no command is named, and a
// flag of several tokens becomes one token, whatever its values begin with: one
// encryption key in 64 begins with "-".
func normalize(root *cobra.Command, args []string) ([]string, error) {
	if !namesCommand(root, args) {
		args = append([]string{"serve"}, args...)
	}
	cmd, _, err := root.Find(args)
	if err != nil {
		return args, nil // cobra will say so
	}
	return joinValues(cmd, args)
}

// namesCommand reports whether the first argument chooses a command, or asks
// something of the program as a whole.
func namesCommand(root *cobra.Command, args []string) bool {
	if len(args) == 0 {
		return false
	}
	switch args[0] {
	case "--help", "--version", "help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return true
	}
	for _, cmd := range root.Commands() {
		if cmd.Name() == args[0] || cmd.HasAlias(args[0]) {
			return true
		}
	}
	return false
}

func joinValues(cmd *cobra.Command, args []string) ([]string, error) {
	var joined []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(joined, args[i:]...), nil
		}
		name, first, attached := strings.Cut(args[i], "=")
		count := tokens(cmd, name)
		if count < 2 {
			joined = append(joined, args[i])
			continue
		}
		var values []string
		if attached {
			values = []string{first}
		}
		need := count - len(values)
		if len(args)-i-1 < need {
			return nil, usagef("Option '%s' requires %d arguments.", name, count)
		}
		values = append(values, args[i+1:i+1+need]...)
		joined = append(joined, name+"="+strings.Join(values, separator))
		i += need
	}
	return joined, nil
}

// tokens returns how many tokens the value of a flag has.
func tokens(cmd *cobra.Command, name string) int {
	flag := cmd.Flags().Lookup(strings.TrimPrefix(name, "--"))
	if !strings.HasPrefix(name, "--") {
		flag = nil
		if len(name) == 2 && name[0] == '-' {
			flag = cmd.Flags().ShorthandLookup(name[1:])
		}
	}
	if flag == nil {
		return 0
	}
	return len(flag.Annotations[arity])
}

// tuples is the value of a flag that takes several tokens and may be repeated.
type tuples struct{ values [][]string }

// Set adds one value: its tokens, joined by separator.
func (t *tuples) Set(text string) error {
	t.values = append(t.values, strings.Split(text, separator))
	return nil
}

// String is what help shows as the default: nothing.
func (t *tuples) String() string { return "" }

// Type is what help shows after the flag's name.
func (t *tuples) Type() string { return "text..." }

// tupleFlag adds a flag whose value has the named tokens.
func tupleFlag(cmd *cobra.Command, into *tuples, name, short, help string, names ...string) {
	cmd.Flags().VarP(into, name, short, help)
	cmd.Flags().SetAnnotation(name, arity, names)
}
