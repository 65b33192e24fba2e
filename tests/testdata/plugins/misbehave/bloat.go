package main

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that bloat stands in for
	"google.golang.org/grpc/mem"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// bloat is a codec that makes 600 MiB of one answer, without needing them in
// memory at once.
type bloat struct{ encoding.CodecV2 }

func newBloat() bloat { return bloat{encoding.GetCodecV2("proto")} }

func (b bloat) Marshal(v any) (mem.BufferSlice, error) {
	if _, ok := v.(*pluginpb.RegisterSecretsResponse); !ok {
		return b.CodecV2.Marshal(v)
	}
	chunk := make([]byte, 1<<20)
	var all mem.BufferSlice
	for range 600 {
		all = append(all, mem.SliceBuffer(chunk))
	}
	return all, nil
}
