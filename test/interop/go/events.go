package main

import (
	"encoding/json"

	"github.com/networkservicemesh/api/pkg/api/networkservice"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func asJSON(message proto.Message) json.RawMessage {
	text, err := protojson.Marshal(message)
	if err != nil {
		panic(err)
	}
	return text
}

func printEvent(event string, conn *networkservice.Connection, err error) {
	line := struct {
		Event      string          `json:"event"`
		Connection json.RawMessage `json:"connection,omitempty"`
		Error      string          `json:"error,omitempty"`
	}{Event: event}
	if conn != nil {
		line.Connection = asJSON(conn)
	}
	if err != nil {
		line.Error = err.Error()
	}
	printLine(line)
}
