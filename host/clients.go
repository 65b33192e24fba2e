package host

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/control"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// The acts on clients that a console can ask of a host.
const (
	actClientList    = "client/list"
	actClientAdd     = "client/add"
	actClientRotate  = "client/rotate"
	actClientRevoke  = "client/revoke"
	actClientApprove = "client/approve"
	actClientRefuse  = "client/refuse"
)

// NewClient is an application that is to read secrets over HTTP.
type NewClient struct {
	Name     string        `json:"name"`
	Secrets  []string      `json:"secrets"`  // granted at once
	Write    bool          `json:"write"`    // it may create, change and delete these too
	Lifetime time.Duration `json:"lifetime"` // of its tokens, in nanoseconds; 0: without an end
}

// ClientReport is what an operator may know of a client. Texts are empty where
// there is nothing to tell, and times are UTC, as in the database.
type ClientReport struct {
	Name          string               `json:"name"`
	State         string               `json:"state"` // "active", "expired" or "revoked"
	Write         bool                 `json:"write"`
	CreatedAt     string               `json:"created_at"`
	CreatedBy     string               `json:"created_by"`
	ExpiresAt     string               `json:"expires_at"` // empty: never
	RotatedAt     string               `json:"rotated_at"`
	RotatedBy     string               `json:"rotated_by"`
	PreviousUntil string               `json:"previous_until"` // until when the token before counts too
	RevokedAt     string               `json:"revoked_at"`
	RevokedBy     string               `json:"revoked_by"`
	LastUsedAt    string               `json:"last_used_at"` // to the minute or so
	Secrets       []ClientSecretReport `json:"secrets"`      // oldest first
}

// ClientSecretReport is a secret that a client was granted or asked for.
type ClientSecretReport struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`    // "granted", "pending" or "refused"
	Declared  bool     `json:"declared"` // the client declared it by itself
	HeldBy    []string `json:"held_by"`  // others that may read the secret
	AskedAt   string   `json:"asked_at"`
	DecidedAt string   `json:"decided_at"`
	DecidedBy string   `json:"decided_by"`
}

// clientOrder is what a command wants done with a client.
type clientOrder struct {
	Client  string        `json:"client"`
	Secrets []string      `json:"secrets,omitempty"`
	Overlap time.Duration `json:"overlap,omitempty"`
}

// clientActs are what commands can ask for about clients.
func clientActs(door *vault.Vault) map[string]control.Act {
	return map[string]control.Act{
		actClientList: func(ctx context.Context, caller secrets.Caller, _ json.RawMessage) (any, error) {
			return clientReports(ctx, door, caller)
		},
		actClientAdd: with(func(ctx context.Context, caller secrets.Caller, c NewClient) (string, error) {
			return printed(door.AddClient(ctx, caller, vault.NewClient(c)))
		}),
		actClientRotate: with(func(ctx context.Context, caller secrets.Caller, o clientOrder) (string, error) {
			return printed(door.RotateClient(ctx, caller, o.Client, o.Overlap))
		}),
		actClientRevoke: with(silent(func(ctx context.Context, caller secrets.Caller, o clientOrder) error {
			return door.RevokeClient(ctx, caller, o.Client)
		})),
		actClientApprove: with(func(ctx context.Context, caller secrets.Caller, o clientOrder) ([]string, error) {
			return door.ApproveClient(ctx, caller, o.Client, o.Secrets...)
		}),
		actClientRefuse: with(func(ctx context.Context, caller secrets.Caller, o clientOrder) ([]string, error) {
			return door.RefuseClient(ctx, caller, o.Client, o.Secrets...)
		}),
	}
}

// printed is a new token on its way to the operator, who alone will have it.
func printed(token secrets.Value, err error) (string, error) { return token.Reveal(), err }

func clientReports(ctx context.Context, door *vault.Vault, caller secrets.Caller) ([]ClientReport, error) {
	clients, err := door.Clients(ctx, caller)
	if err != nil {
		return nil, err
	}
	reports := []ClientReport{}
	for _, c := range clients {
		r := ClientReport{
			Name: c.Name, State: c.State(), Write: c.Write, CreatedAt: c.CreatedAt, CreatedBy: c.CreatedBy,
			ExpiresAt: c.ExpiresAt, RotatedAt: c.RotatedAt, RotatedBy: c.RotatedBy, PreviousUntil: c.PreviousUntil,
			RevokedAt: c.RevokedAt, RevokedBy: c.RevokedBy, LastUsedAt: c.LastUsedAt, Secrets: []ClientSecretReport{},
		}
		for _, request := range c.Requests {
			r.Secrets = append(r.Secrets, ClientSecretReport{
				Name: request.Name, State: string(request.State), Declared: request.Asked,
				HeldBy:  append([]string{}, request.HeldBy...),
				AskedAt: request.AskedAt, DecidedAt: request.DecidedAt, DecidedBy: request.DecidedBy,
			})
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// Clients tells of every client that the database knows, sorted by name.
func (c *Console) Clients(ctx context.Context) (reports []ClientReport, err error) {
	err = c.call(ctx, actClientList, nil, &reports)
	return reports, err
}

// AddClient makes an application known, and returns its token.
func (c *Console) AddClient(ctx context.Context, client NewClient) (secrets.Value, error) {
	return c.token(ctx, actClientAdd, client)
}

// RotateClient gives a client another token and returns it. The one before
// counts for the overlap too.
func (c *Console) RotateClient(ctx context.Context, client string, overlap time.Duration) (secrets.Value, error) {
	return c.token(ctx, actClientRotate, clientOrder{Client: client, Overlap: overlap})
}

func (c *Console) token(ctx context.Context, act string, request any) (secrets.Value, error) {
	var token string
	if err := c.call(ctx, act, request, &token); err != nil {
		return secrets.Value{}, err
	}
	if err := vault.CheckClientToken(token); err != nil {
		return secrets.Value{}, fmt.Errorf("taking the token from the host: %w", err)
	}
	return secrets.NewValue(token), nil
}

// RevokeClient ends a client, for good.
func (c *Console) RevokeClient(ctx context.Context, client string) error {
	return c.call(ctx, actClientRevoke, clientOrder{Client: client}, nil)
}

// ApproveClient grants secrets to a client and returns those that it had not
// been granted before. Without any, everything pending is meant but what others
// hold.
func (c *Console) ApproveClient(ctx context.Context, client string, names ...string) (approved []string, err error) {
	err = c.call(ctx, actClientApprove, clientOrder{Client: client, Secrets: names}, &approved)
	return approved, err
}

// RefuseClient refuses secrets to a client, granted ones too, and returns those
// that it had not been refused before. Without any, everything pending is meant.
func (c *Console) RefuseClient(ctx context.Context, client string, names ...string) (refused []string, err error) {
	err = c.call(ctx, actClientRefuse, clientOrder{Client: client, Secrets: names}, &refused)
	return refused, err
}
