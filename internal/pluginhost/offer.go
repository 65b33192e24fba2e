package pluginhost

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// A plugin that makes its own certificate by go-plugin's AutoMTLS does not get
// hold of the key, which only go-plugin's broker in it knows. So that it can
// call its host, the host tells that broker its address, under this id.
const offeredID = 1

// offerStream is the name of the one stream to the broker that is let through.
const offerStream = "host's offer"

// brokerID is what the plugin is told, 0 if nothing was offered.
func (l *launch) brokerID() uint32 {
	if l.bare {
		return offeredID
	}
	return 0
}

// offerHost sends go-plugin's ConnInfo, as go-plugin's broker would. What the
// plugin's broker says is not read; the stream ends with the connection.
func (l *launch) offerHost() error {
	desc := &grpc.StreamDesc{StreamName: offerStream, ClientStreams: true, ServerStreams: true}
	stream, err := l.conn.NewStream(context.Background(), desc, "/plugin.GRPCBroker/StartStream")
	if err != nil {
		return fmt.Errorf("telling its broker where the host is: %w", err)
	}
	info := &emptypb.Empty{}
	info.ProtoReflect().SetUnknown(connInfo(offeredID, "unix", l.callback.address))
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
