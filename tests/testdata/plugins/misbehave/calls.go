package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// get asks a host for a secret and tells the outcome, without the value.
func (m *misbehave) get(name, actorID string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := pluginpb.NewSecretsClient(m.host).GetSecret(ctx,
		&pluginpb.GetSecretRequest{Name: name, ActorId: actorID})
	if err != nil {
		return status.Code(err).String() + ": " + status.Convert(err).Message()
	}
	return "got it from " + r.GetSource()
}

// showBothFaces asks with each of its certificates.
func (m *misbehave) showBothFaces() {
	report("with what it was given: %s", m.get("HEALTHY_KEY", "demo"))
	m.host = m.brokers
	report("with its own: %s", m.get("HEALTHY_KEY", "demo"))
}

// useForEver is the life of a good plugin.
func (m *misbehave) useForEver() {
	for {
		report("HEALTHY_KEY %s", m.get("HEALTHY_KEY", "demo"))
		time.Sleep(20 * time.Millisecond)
	}
}

// ask asks for what it may not have.
func (m *misbehave) ask() {
	report("offered %s", m.offered)
	report("undeclared %s", m.get("HEALTHY_KEY", "root"))
	report("unknown %s", m.get("NOBODY_HAS_THIS", "root"))
	report("unset %s", m.get("GREEDY_KEY", "root"))
	report("long actor %s", m.get("GREEDY_KEY", string(make([]byte, 300))))
	r, err := pluginpb.NewSecretsClient(m.host).ListSecrets(context.Background(), &pluginpb.ListSecretsRequest{})
	report("list %v %v", r.GetSecrets(), err)
	report("batch %s", m.getMany("GREEDY_KEY", "HEALTHY_KEY", "NOBODY_HAS_THIS"))
	report("large batch %s", m.getMany(make([]string, 101)...))
	c, err := pluginpb.NewConfigurationClient(m.host).GetConfig(context.Background(), &pluginpb.GetConfigRequest{})
	report("config %s %v", c.GetJson(), err)
}

// getMany asks for several secrets at once and tells the outcome, without values.
func (m *misbehave) getMany(names ...string) string {
	r, err := pluginpb.NewSecretsClient(m.host).GetSecrets(context.Background(), &pluginpb.GetSecretsRequest{Names: names})
	if err != nil {
		return status.Code(err).String() + ": " + status.Convert(err).Message()
	}
	var outcomes []string
	for _, result := range r.GetResults() {
		outcome := result.GetError()
		if found := result.GetFound(); found != nil {
			outcome = fmt.Sprintf("from %s, version %d, for %d s", found.GetSource(), found.GetVersion(), found.GetMaxAgeSeconds())
		}
		outcomes = append(outcomes, result.GetName()+": "+outcome)
	}
	return strings.Join(outcomes, "; ")
}

// forge asks with every token that its configuration has, on behalf of "ann".
func (m *misbehave) forge() {
	ctx := context.Background()
	config, err := pluginpb.NewConfigurationClient(m.host).GetConfig(ctx, &pluginpb.GetConfigRequest{})
	if err != nil {
		complain(err)
	}
	var tokens map[string]string
	if err := json.Unmarshal(config.GetJson(), &tokens); err != nil {
		complain(err)
	}
	client := pluginpb.NewSecretsClient(m.host)
	for name, token := range tokens {
		_, err := client.GetSecret(ctx, &pluginpb.GetSecretRequest{Name: "FORGER_KEY", ActorId: "ann", ActorToken: token})
		report("%s get %s.", name, status.Code(err))
		can, err := client.CanAccessSecret(ctx, &pluginpb.CanAccessSecretRequest{Name: "FORGER_KEY", ActorId: "ann", ActorToken: token})
		report("%s can %t %s.", name, can.GetAllowed(), status.Code(err))
		_, err = client.GetSecrets(ctx, &pluginpb.GetSecretsRequest{Names: []string{"FORGER_KEY"}, ActorId: "ann", ActorToken: token})
		report("%s many %s.", name, status.Code(err))
	}
}

// watch tells of changes until its call ends.
func (m *misbehave) watch(names ...string) {
	stream, err := pluginpb.NewSecretsClient(m.host).Watch(context.Background(), &pluginpb.WatchRequest{Names: names})
	if err != nil {
		complain(err)
	}
	for {
		change, err := stream.Recv()
		if err != nil {
			report("watch ended %s: %s", status.Code(err), status.Convert(err).Message())
			return
		}
		report("watch %s %s %d.", change.GetKind(), change.GetName(), change.GetVersion())
	}
}

// dawdle opens as many watches as it may and reads none of them until a value
// is there that says so.
func (m *misbehave) dawdle() {
	var streams []grpc.ServerStreamingClient[pluginpb.Change]
	for range 17 {
		stream, err := pluginpb.NewSecretsClient(m.host).Watch(context.Background(), &pluginpb.WatchRequest{})
		if err != nil {
			complain(err)
		}
		streams = append(streams, stream)
	}
	refused := 0
	for _, stream := range streams {
		if header, err := stream.Header(); err != nil || header == nil { // sent with the first change
			_, err := stream.Recv()
			report("one more %s: %s", status.Code(err), status.Convert(err).Message())
			refused++
		}
	}
	report("dawdling on %d", len(streams)-refused)
	for m.get("GO", "") != "got it from database" {
		time.Sleep(20 * time.Millisecond)
	}
	for i, stream := range streams {
		changes := 0
		for {
			_, err := stream.Recv()
			if err != nil {
				report("dawdler %d read %d changes, then %s: %s", i, changes, status.Code(err), status.Convert(err).Message())
				break
			}
			changes++
		}
	}
	report("dawdled")
}

// intrude tries the sockets of the other plugins.
func (m *misbehave) intrude() {
	var sockets []string
	for len(sockets) < 2 { // the other one may be starting still
		sockets, _ = filepath.Glob(filepath.Join(filepath.Dir(m.address), "..", "*", "host.sock"))
		time.Sleep(10 * time.Millisecond)
	}
	for _, socket := range sockets {
		if filepath.Clean(socket) == m.address {
			continue
		}
		conn, err := m.dial(socket)
		if err != nil {
			complain(err)
		}
		other := &misbehave{host: conn}
		report("intrusion %s", other.get("HEALTHY_KEY", "root"))
	}
	report("intrusions tried %d", len(sockets)-1)
}

// crowd opens very many connections and counts those that are kept.
func (m *misbehave) crowd() {
	kept := 0
	var all []net.Conn
	for range 200 {
		if conn, err := net.Dial("unix", m.address); err == nil {
			all = append(all, conn)
		}
	}
	for _, conn := range all {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); isTimeout(err) {
			kept++
		}
	}
	report("crowd of %d", kept)
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
