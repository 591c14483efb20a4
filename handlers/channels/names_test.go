package channels_test

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers/channels"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
)

// named are topics of the kinds that have commands.
var named = []string{
	"code:project:1", "code:file:a.ex", "code:x", "analysis:project:1", "conversation:c1", "conversation:lobby",
	"status:c1", "user:ada",
}

// twoClients runs a test on each topic, with two clients that have joined it, and the names of its events.
func twoClients(t *testing.T, topics []string, test func(t *testing.T, topic string, ada, other *client, events *socket.Vocabulary)) {
	s := start(t, nil)
	table := channels.NewTable(s.hub, slog.New(slog.DiscardHandler), nil)
	for _, topic := range topics {
		t.Run(topic, func(t *testing.T) {
			ada, other := s.dial("ada"), s.dial("ada")
			ada.t, other.t = t, t
			ada.join(topic, `{}`)
			other.join(topic, `{}`)
			test(t, topic, ada, other, &table.Routes.Find(topic).Events)
		})
	}
}

// TestMisspeltCommandReachesNobody: a name similar to a command is refused with the right name, and nobody gets it.
func TestMisspeltCommandReachesNobody(t *testing.T) {
	twoClients(t, named, func(t *testing.T, topic string, ada, other *client, events *socket.Vocabulary) {
		commands := slices.Collect(maps.Keys(events.Commands))
		for _, command := range commands {
			for _, wrong := range misspellings(command) {
				if slices.Contains(commands, wrong) {
					continue
				}
				status, response := ada.ask(topic, wrong, `{"code":"secret"}`)
				detail, _ := response["detail"].(string)
				if status != "error" || response["reason"] != "invalid" || response["field"] != "event" ||
					!strings.Contains(detail, command) && !slices.ContainsFunc(commands, func(c string) bool {
						return strings.Contains(detail, c) // another one is as similar
					}) {
					t.Errorf("%s: %s %v", wrong, status, response)
				}
			}
		}
		ada.ok(topic, "task_created", `{}`)
		if m := next(other, "status_update", "error"); m.Event != "task_created" {
			t.Errorf("the other client got %s %s", m.Event, m.Payload)
		}
	})
}

// misspellings returns names that differ from a command in one letter, in case, or in separators.
func misspellings(name string) []string {
	middle := len(name) / 2
	camel := strings.ToUpper(name[:1]) + name[1:]
	return []string{
		name[:middle] + name[middle+1:], name + "s", name[:middle] + "x" + name[middle:],
		name[:1] + string(name[2]) + string(name[1]) + name[3:], strings.ToUpper(name), camel,
		strings.ReplaceAll(camel, "_", ""), strings.ReplaceAll(name, "_", "-") + ".", "-" + name,
	}
}

// next returns the next message but for those that the server sends by itself.
func next(c *client, skipped ...string) message {
	for {
		if m := c.next(); !slices.Contains(skipped, m.Event) {
			return m
		}
	}
}

// TestServersEventsCannotBePublished: what a channel sends itself is refused on its sockets, with the reason.
func TestServersEventsCannotBePublished(t *testing.T) {
	topics := append(slices.Clone(named), "room:1")
	twoClients(t, topics, func(t *testing.T, topic string, ada, other *client, events *socket.Vocabulary) {
		for _, name := range append(slices.Clone(events.Sent), "phx_reply", "phx_x", "presence_state", "chan_reply_1") {
			if _, command := events.Commands[name]; command {
				continue
			}
			status, response := ada.ask(topic, name, `{}`)
			if status != "error" || response["reason"] != "invalid" || response["field"] != "event" {
				t.Errorf("%s: %s %v", name, status, response)
			}
		}
		ada.ok(topic, "e", `{}`)
		if m := next(other, "status_update", "error"); m.Event != "e" {
			t.Errorf("the other client got %s %s", m.Event, m.Payload)
		}
	})
}

// TestCommandsAreHandled: every command of the lists is one: no client gets it as an event.
func TestCommandsAreHandled(t *testing.T) {
	twoClients(t, named, func(t *testing.T, topic string, ada, other *client, events *socket.Vocabulary) {
		for command := range events.Commands {
			ada.reply(ada.send(topic, command, `{}`))
		}
		ada.ok(topic, "e", `{}`)
		for m := other.next(); m.Event != "e"; m = other.next() {
			if _, command := events.Commands[m.Event]; command && !slices.Contains(events.Sent, m.Event) {
				t.Errorf("%s was published", m.Event)
			}
		}
	})
}

// TestStreamNamesTheCommand: also on a channel without events of clients, a misspelt command is told the right one.
func TestStreamNamesTheCommand(t *testing.T) {
	s := start(t, nil)
	stream, _, err := s.hub.CreateStream(hub.StreamSpec{Owner: "ada", Kind: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ada := s.dial("ada")
	ada.join("stream:"+stream.ID, `{}`)
	status, response := ada.ask("stream:"+stream.ID, "cancle", `{}`)
	if detail, _ := response["detail"].(string); status != "error" || !strings.Contains(detail, "command cancel;") {
		t.Errorf("%s %v", status, response)
	}
	if status, response = ada.ask("stream:"+stream.ID, "task_created", `{}`); status != "error" {
		t.Errorf("%s %v", status, response)
	}
	stream.Cancel("ada")
}
