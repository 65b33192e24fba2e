// Command demo is the smallest honest plugin: it declares two secrets, uses one
// of them now and then, and says so in the log without saying what it is.
//
// Build it as datasette-secrets-plugin-demo. Its use of DEMO_API_KEY for the
// actor "demo" is what an administrator sees under "last used".
package main

import (
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

func main() { pluginapi.Serve(Demo{Every: time.Minute}) }
