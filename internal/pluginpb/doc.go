// Package pluginpb is the generated Go code of the protocol between the host
// and its plugins. The protocol itself is in pluginapi/proto; nothing here is
// written by hand.
//
// It was generated with protoc 3.21.12, protoc-gen-go v1.36.12 and
// protoc-gen-go-grpc v1.6.2; the head of each file names its versions too. A
// newer plugin than the modules in go.mod makes code that does not compile.
package pluginpb

//go:generate protoc -I ../../pluginapi/proto --go_out=../.. --go_opt=module=github.com/datasette-secrets/datasette-secrets --go-grpc_out=../.. --go-grpc_opt=module=github.com/datasette-secrets/datasette-secrets ../../pluginapi/proto/host.proto ../../pluginapi/proto/plugin.proto
