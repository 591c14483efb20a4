// Package phoenix is the codec of Phoenix Channels: it encodes and decodes messages in both versions of the serializer
// (lib/phoenix/socket/serializers/v1_json_serializer.ex and v2_json_serializer.ex). It does no I/O and does not know
// channels.
package phoenix
