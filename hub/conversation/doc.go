// Package conversation decides about conversations with a model: whose they are, what is stored of them, what the model
// is asked, when an answer is superseded or cancelled, and that each answer has one end. It knows no socket and no
// HTTP. What clients are told it says to a Vocabulary, which names the events and encodes them.
//
// A Service has the conversations of one node. A Session is a conversation that is in use there; all clients of the
// conversation share it. An exchange is a question and the answer that is being made. The Record is all that is stored.
//
// # Several nodes
//
// The record is changed only under the store's lock of the conversation: read, changed, saved as the next version, and
// published. What is being answered is part of the record, so any node can end it. What is told of an end has an id, so
// two nodes that both tell it tell it once. A node that has clients in a conversation looks after answers that other
// nodes make: when such a node dies, it tells the end.
//
// # Locks
//
// Session.mu, then the store's lock of the conversation, then the hub's locks and Service.mu. A session's mu is locked
// while the store is asked, which may take seconds; so Guard, LookAfter, Release and AnswerOrder do not take it.
package conversation
