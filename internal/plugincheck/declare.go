package plugincheck

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// checkDeclarations asks two launches for what they declare.
func checkDeclarations(ctx context.Context, k *kit) verdict {
	first, err := k.declared(ctx)
	if err != nil {
		return failure(err)
	}
	if err := vault.CheckDeclarations(declarations(first)); err != nil {
		return failed(clean(err.Error(), 2*maxLogLine), "hosts refuse all declarations when one breaks a rule; the rules are in docs/plugins.md")
	}
	names := map[string]bool{}
	for _, d := range first {
		if names[d.GetName()] {
			return failed(fmt.Sprintf("it declares %s twice", d.GetName()), "declare each secret once: of two, a host takes the first")
		}
		names[d.GetName()] = true
	}
	second, err := k.declared(ctx)
	if err != nil {
		return failure(err)
	}
	if !proto.Equal(&pluginpb.RegisterSecretsResponse{Secrets: first}, &pluginpb.RegisterSecretsResponse{Secrets: second}) {
		return failed("its second start declared something else than its first, or in another order",
			"declare what the code needs, whatever the time, the configuration and the values are: an administrator approves it once")
	}
	return passed()
}

// declared is what a new launch declares.
func (k *kit) declared(ctx context.Context) ([]*pluginpb.Secret, error) {
	l, err := k.serving(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.initialise(ctx); err != nil {
		return nil, err
	}
	return l.declarations(ctx)
}

// declarations are what a host makes of a plugin's answer.
func declarations(declared []*pluginpb.Secret) []secrets.Declaration {
	all := make([]secrets.Declaration, len(declared))
	for i, d := range declared {
		all[i] = secrets.Declaration{
			Name: d.GetName(), Description: d.GetDescription(),
			ObtainURL: d.GetObtainUrl(), ObtainLabel: d.GetObtainLabel(),
			Pattern: d.GetPattern(), Example: d.GetExample(), Multiline: d.GetMultiline(),
			Redact: secrets.Redact{Prefix: int(d.GetRedact().GetPrefix()), Suffix: int(d.GetRedact().GetSuffix())},
		}
	}
	return all
}
