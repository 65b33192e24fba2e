package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// newAudit is the parent of the commands about the audit log. Each of them has a
// file of its own, but for the smallest.
func newAudit(sys system) *cobra.Command {
	group := &cobra.Command{
		Use:   "audit",
		Short: "Read the log of all acts, and verify that nobody edited it",
		Long: `Read the log of all acts, and verify that nobody edited it. The commands read the
database file, but for check, which needs none, and write nothing, whether or not a
host has it open. Whoever can read the file can run them; no encryption key is needed.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(newAuditTail(sys), newAuditShow(sys), newAuditExport(sys), newAuditStats(sys),
		newAuditVerify(sys), newAuditProve(sys), newAuditCheck(sys), newAuditHead(sys), newAuditKeys(sys))
	return group
}

// openLog lets work read the log of a database.
func (f *databaseFlags) openLog(ctx context.Context, sys system, files []string, work func(*vault.Vault) error) error {
	opened, err := host.OpenAuditLog(ctx, f.config(sys, files))
	if err != nil {
		return err
	}
	return errors.Join(work(opened.Door()), opened.Close())
}

// logFilterFlags say which entries are meant, under the names of the columns.
type logFilterFlags struct {
	filter       vault.LogFilter
	allowed      bool
	refused      bool
	since, until string
}

func (f *logFilterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.filter.Name, "name", "", "only what is about this secret")
	flags.StringVar(&f.filter.Actor, "actor-id", "", "only what this actor did")
	flags.StringVar(&f.filter.Plugin, "plugin", "", "only what this plugin did or what is about it")
	flags.StringVar(&f.filter.Client, "client", "", "only what this client did or what is about it")
	flags.StringVar(&f.filter.Action, "action", "", "only this action, such as get or put")
	flags.BoolVar(&f.allowed, "allowed", false, "only what was done")
	flags.BoolVar(&f.refused, "refused", false, "only what was refused")
	flags.StringVar(&f.since, "since", "", "only from this time on: 2026-07-14, \"2026-07-14 16:30:00\" (UTC), or an age such as 7d or 12h")
	flags.StringVar(&f.until, "until", "", "only before this time")
	cmd.RegisterFlagCompletionFunc("action", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return vault.LogActions(), cobra.ShellCompDirectiveNoFileComp
	})
}

// read returns what the flags mean.
func (f *logFilterFlags) read(now time.Time) (filter vault.LogFilter, err error) {
	filter = f.filter
	switch {
	case f.allowed && f.refused:
		return filter, usagef("--allowed and --refused cannot be given together.")
	case f.allowed || f.refused:
		filter.Allowed = &f.allowed
	}
	if f.since != "" {
		if filter.Since, err = vault.ParseLogTime(f.since, now); err != nil {
			return filter, fmt.Errorf("--since: %w", err)
		}
	}
	if f.until != "" {
		if filter.Until, err = vault.ParseLogTime(f.until, now); err != nil {
			return filter, fmt.Errorf("--until: %w", err)
		}
	}
	return filter, nil
}

// firstIsEntry splits the arguments ID [FILES]...
func firstIsEntry(args []string) (id int64, files []string, err error) {
	if len(args) == 0 {
		return 0, nil, usagef("Missing argument 'ID': the number of an entry, as \"audit tail\" shows it.")
	}
	id, err = strconv.ParseInt(args[0], 10, 64)
	if err != nil || id < 1 {
		return 0, nil, usagef("Invalid value for 'ID': an entry has a number, from 1 on.")
	}
	return id, args[1:], nil
}
