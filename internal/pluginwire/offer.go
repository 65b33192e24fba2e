package pluginwire

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// OfferedID is under which a plugin finds its host in go-plugin's broker. A
// plugin that makes its own certificate by go-plugin's AutoMTLS does not get
// hold of the key, which only that broker in it knows.
const OfferedID = 1

// OfferStream is the name of the one stream to a broker that a host opens.
const OfferStream = "host's offer"

// OfferHost sends go-plugin's ConnInfo with the address of the host's socket,
// as go-plugin's broker would. What the plugin's broker says is not read; the
// stream ends with ctx or the connection.
func OfferHost(ctx context.Context, conn *grpc.ClientConn, address string) error {
	desc := &grpc.StreamDesc{StreamName: OfferStream, ClientStreams: true, ServerStreams: true}
	stream, err := conn.NewStream(ctx, desc, "/plugin.GRPCBroker/StartStream")
	if err != nil {
		return fmt.Errorf("telling its broker where the host is: %w", err)
	}
	info := &emptypb.Empty{}
	info.ProtoReflect().SetUnknown(connInfo(OfferedID, "unix", address))
	_ = stream.SendMsg(info) // a plugin without a broker has another way
	return nil
}

// connInfo encodes go-plugin's message of that name, which is internal there.
func connInfo(id uint32, network, address string) []byte {
	var m []byte
	m = protowire.AppendVarint(protowire.AppendTag(m, 1, protowire.VarintType), uint64(id))
	m = protowire.AppendString(protowire.AppendTag(m, 2, protowire.BytesType), network)
	return protowire.AppendString(protowire.AppendTag(m, 3, protowire.BytesType), address)
}
