package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

const maxVersion = 64 // bytes of a plugin's version that are kept

// introduction is what a plugin says about itself.
type introduction struct {
	version string
	hooks   []string // words for all that it offers, sorted
	starter bool

	declarations []secrets.Declaration // in its order
}

// names are those of declared secrets, each once.
func names(declarations []secrets.Declaration) (names []string) {
	for _, d := range declarations {
		if !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}

// initialise tells the plugin where its host is, and asks what it offers.
func (l *launch) initialise(ctx context.Context, hostVersion string) error {
	ctx, cancel := context.WithTimeout(ctx, l.timings.Call)
	defer cancel()
	response, err := pluginpb.NewLifecycleClient(l.conn).Init(ctx, &pluginpb.InitRequest{
		HostVersion:   hostVersion,
		ProtocolMinor: pluginwire.ProtocolMinor,
		PluginName:    l.name,
		HostAddress:   l.callback.address,
		HostServices:  l.callback.services(),
		HostBrokerId:  l.brokerID(),
	})
	if err != nil {
		return l.explain("Init", err)
	}
	l.hooks = newHooks(response.GetServices())
	l.about = introduction{
		version: l.runner.journal.redactor.fit(response.GetVersion(), maxVersion),
		hooks:   append([]string{"register_secrets"}, l.hooks.offered...),
		starter: slices.Contains(response.GetServices(), pluginpb.Starter_ServiceDesc.ServiceName),
	}
	if l.about.starter {
		l.about.hooks = append(l.about.hooks, "start")
	}
	slices.Sort(l.about.hooks)
	return nil
}

// askDeclarations asks which secrets the plugin needs.
func (l *launch) askDeclarations(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.timings.Call)
	defer cancel()
	response, err := pluginpb.NewDeclarationsClient(l.conn).RegisterSecrets(ctx, &pluginpb.RegisterSecretsRequest{})
	if err != nil {
		return l.explain("RegisterSecrets", err)
	}
	declared := make([]secrets.Declaration, len(response.GetSecrets()))
	for i, s := range response.GetSecrets() {
		declared[i] = secrets.Declaration{
			Name:        s.GetName(),
			Description: s.GetDescription(),
			ObtainURL:   s.GetObtainUrl(),
			ObtainLabel: s.GetObtainLabel(),
			Pattern:     s.GetPattern(),
			Example:     s.GetExample(),
			Multiline:   s.GetMultiline(),
			Redact:      secrets.Redact{Prefix: int(s.GetRedact().GetPrefix()), Suffix: int(s.GetRedact().GetSuffix())},
		}
	}
	l.about.declarations = declared
	return nil
}

// begin lets a plugin that wants to run do so.
func (l *launch) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.timings.Call)
	defer cancel()
	if _, err := pluginpb.NewStarterClient(l.conn).Start(ctx, &pluginpb.StartRequest{}); err != nil {
		return l.explain("Start", err)
	}
	return nil
}

// explain says in one sentence why a call to the plugin failed. The plugin's
// own words are left out: it may know secrets.
func (l *launch) explain(call string, err error) error {
	// A connection that breaks is most often the first sign of an end.
	if p := l.runner.process(); p != nil && lost(err) && p.gone(context.Background(), pipeGrace) {
		return fmt.Errorf("it ended during %s (%s)", call, p.exit())
	}
	switch code(err) {
	case codes.DeadlineExceeded:
		return fmt.Errorf("it did not answer %s within %s", call, l.timings.Call)
	case codes.ResourceExhausted:
		return fmt.Errorf("its answer to %s is too large; at most %d MiB are allowed", call, pluginwire.HostMaxReceive>>20)
	case codes.Unimplemented:
		return fmt.Errorf("it does not offer %s", call)
	case codes.Canceled:
		return errors.New("its start was given up")
	}
	return fmt.Errorf("%s failed (%s); its log may say why", call, code(err))
}

func lost(err error) bool {
	return code(err) == codes.Unavailable || code(err) == codes.Unknown || code(err) == codes.Canceled
}

// code is the gRPC code of an error, also of one that is not from gRPC.
func code(err error) codes.Code {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	}
	return status.Code(err)
}
