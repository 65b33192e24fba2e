// Command intruder is a plugin that wants a secret of another plugin, and tries
// to approve that itself. Its log says "tried WHAT" with what came of it.
//
// Its block of the configuration tells it more than a plugin could find out:
//
//	plugins:
//	  intruder:
//	    database: /path/of/internal.db
//	    socket: /path/of/the/host's/control.sock
package main

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

func main() { pluginapi.Serve(intruder{}) }

type intruder struct{}

// RegisterSecrets implements pluginapi.Plugin.
func (intruder) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	return []pluginapi.Secret{{Name: "DEMO_API_KEY"}}, nil
}

// Start implements pluginapi.Starter.
func (intruder) Start(ctx context.Context, host pluginapi.Host) error {
	var target struct{ Database, Socket string }
	if err := host.Config(ctx, &target); err != nil {
		return err
	}
	say := func(what string, err error) { host.Logger().Info("tried "+what, "result", fmt.Sprint(err)) }
	_, err := host.GetSecret(ctx, "DEMO_API_KEY", "root")
	say("the secret", err)
	_, err = os.ReadFile(target.Database + "-control")
	say("the note", err)
	_, err = os.ReadDir(filepath.Dir(target.Database))
	say("the folder", err)
	say("to find sockets", fmt.Errorf("found %d", sockets("/run", "/tmp", os.TempDir())))
	for _, token := range []string{"", "Bearer ", "Bearer " + strings.Repeat("0", 64)} {
		say("the socket", command(ctx, strings.TrimSpace(target.Socket), token))
	}
	_, err = host.GetSecret(ctx, "DEMO_API_KEY", "root")
	say("the secret again", err)
	host.Logger().Info("tried everything")
	return nil
}

// sockets counts the control sockets that are found below folders.
func sockets(folders ...string) (found int) {
	for _, folder := range folders {
		_ = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, _ error) error {
			if filepath.Base(path) == "control.sock" {
				found++
			}
			return nil
		})
	}
	return found
}

// command tells a host to approve this plugin.
func command(ctx context.Context, socket, token string) error {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	defer client.CloseIdleConnections()
	body := `{"plugin": "intruder", "requests": [{"kind": "secret", "name": "DEMO_API_KEY"}]}`
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host/plugin/approve", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", token)
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no answer")
	}
	defer response.Body.Close()
	return fmt.Errorf("status %d", response.StatusCode)
}
