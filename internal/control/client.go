package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Client talks to the host of one database.
type Client struct {
	token string
	http  *http.Client
}

// Dial finds the host that has a database open. It is ErrNoHost when there is
// none.
func Dial(ctx context.Context, database string) (*Client, error) {
	n, owner, err := read(database)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context) (net.Conn, error) { return connect(ctx, n.Socket, owner) }
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	_ = conn.Close()
	return &Client{token: n.Token, http: &http.Client{
		Timeout: callLimit + readLimit,
		Transport: &http.Transport{
			DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Second,
		},
	}}, nil
}

// connect connects to a socket on which a process of the owner listens.
func connect(ctx context.Context, socket string, owner int) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, ErrNoHost // whoever wrote the note is gone
	}
	uid, err := peerUser(conn.(*net.UnixConn))
	if err != nil || uid != owner {
		return nil, errors.Join(errors.New("who listens on the host's socket is another user"), conn.Close())
	}
	return conn, nil
}

// Call asks the host to perform an act, and decodes its result into answer
// unless that is nil. An error of the act has the class that it had there.
func (c *Client) Call(ctx context.Context, act string, request, result any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding the command: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host/"+act, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking the host: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("asking the host: %w: %w", secrets.ErrUnavailable, err)
	}
	defer response.Body.Close()
	var a answer
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&a); err != nil {
		return fmt.Errorf("asking the host: its answer cannot be read: %w", err)
	}
	if a.Error != nil {
		return a.Error.err()
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Answer, result); err != nil {
		return fmt.Errorf("asking the host: its answer is not what was expected; is it of another version? %w", err)
	}
	return nil
}

// Close gives up the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }
