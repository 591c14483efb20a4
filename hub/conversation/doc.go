// Package conversation implements conversations with a model: who owns them, what is stored, what the model is asked,
// when an answer is superseded or cancelled, and that each answer ends exactly once. It does not depend on sockets or
// HTTP. A Vocabulary names and encodes the events for clients.
//
// A Service has the conversations of one node. A Session is a conversation that is in use there; all clients of the
// conversation share it. An exchange is a question and its running answer. A Record is the stored state.
//
// # Several nodes
//
// The record is changed only under the store's lock of the conversation: it is loaded, changed, saved as the next
// version, and the change is published. The running answer is part of the record, so any node can end it. The events of
// an end have ids, so if two nodes publish it, clients get it once. A node with clients in a conversation watches the
// answers that other nodes write: if such a node dies, it publishes the end.
//
// # Locks
//
// The order is: Session.mu, the store's lock of the conversation, the hub's locks and Service.mu. A call to the store,
// which may take seconds, is made with Session.mu locked; therefore Guard, LookAfter, Release and AnswerOrder do not
// lock it.
package conversation
