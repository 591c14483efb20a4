// Package phoenix is the wire format of Phoenix Channels: messages to bytes and back, in both versions of its serializer
// (lib/phoenix/socket/serializers/v1_json_serializer.ex and v2_json_serializer.ex). It reads and writes nothing and knows no channel.
package phoenix
