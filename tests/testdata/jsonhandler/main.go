// Command jsonhandler is the least that a Go program can do to answer with the
// JSON that the host answers with: what the host is measured against.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
)

type value struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Version int64  `json:"version"`
	Source  string `json:"source"`
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "serving on http://%s\n", listener.Addr())
	err = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(value{"SECRET_0000", "a value of usual length, 40 characters..", 1, "database"})
	}))
	fmt.Fprintln(os.Stderr, err)
}
