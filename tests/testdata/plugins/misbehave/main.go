// Command misbehave is a plugin that fails in one of many ways, for the tests
// of package pluginhost. Its file name says in which: the tests link it as
// datasette-secrets-plugin-MODE, or datasette-secrets-plugin-MODE.ARGUMENT. A
// script whose first line is #!PROGRAM MODE fails in that way, whatever its name.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	name := strings.TrimPrefix(filepath.Base(os.Args[0]), "datasette-secrets-plugin-")
	if name == "misbehave" && len(os.Args) > 1 {
		name = os.Args[1]
	}
	mode, argument, _ := strings.Cut(name, ".")
	if speak, ok := beforeHandshake(argument)[mode]; ok {
		speak()
		forever()
	}
	if b, ok := hookBehaviours()[mode]; ok {
		serve(b)
		return
	}
	serve(behaviours()[mode])
}

// beforeHandshake are the modes of a plugin that never serves anything.
func beforeHandshake(argument string) map[string]func() {
	return map[string]func(){
		"silent":  func() {},
		"exits":   func() { os.Exit(3) },
		"closes":  func() { os.Stdout.Close() },
		"garbage": func() { fmt.Println("Hello! I am a very nice plugin.") },
		"longline": func() {
			fmt.Println(strings.Repeat("x", 100<<10))
		},
		"badcert": func() {
			fmt.Println("1|1|unix|/tmp/x|grpc|" + strings.Repeat("!", 100))
		},
		"tcp":       func() { fmt.Println("1|1|tcp|127.0.0.1:" + argument + "|grpc|") },
		"elsewhere": func() { announce(filepath.Join(os.Getenv("HOME"), "s")) },
		"dotted":    func() { announce(os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/../home/s") },
		"nosocket":  func() { fmt.Println("1|1|unix|" + os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/none|grpc|") },
		"link":      linked,
		"mute":      func() { announce(os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/s") },
		"leaves":    leave,
		"netrpc":    func() { fmt.Println("1|1|unix|/tmp/x|netrpc|") },
	}
}

func forever() {
	for {
		time.Sleep(time.Hour)
	}
}
