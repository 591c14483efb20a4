// Package gopenai calls sashabaranov/go-openai.
package gopenai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sashabaranov/go-openai"

	"github.com/duckwire/duckwire/handlers/interop/matrix/goclients/call"
)

// Do makes a call.
func Do(ctx context.Context, r *call.Request) (o call.Outcome) {
	config := openai.DefaultConfig(r.APIKey)
	config.BaseURL = r.BaseURL
	client := openai.NewClientWithConfig(config)
	var err error
	switch r.Kind {
	case "chat":
		err = chat(ctx, client, r, &o)
	case "complete":
		err = complete(ctx, client, r, &o)
	case "models":
		var list openai.ModelsList
		if list, err = client.ListModels(ctx); err == nil {
			o.Raw = list.Models
		}
	}
	if err != nil {
		o.Fail(seen(err))
	}
	return o
}

// seen is what a program can see of an error.
func seen(err error) map[string]any {
	var api *openai.APIError
	var request *openai.RequestError
	switch {
	case errors.As(err, &api):
		return map[string]any{"status": api.HTTPStatusCode, "code": api.Code, "param": api.Param, "type": api.Type, "message": api.Message}
	case errors.As(err, &request):
		return map[string]any{"status": request.HTTPStatusCode, "message": request.Error()}
	}
	return map[string]any{"class": fmt.Sprintf("%T", err), "message": err.Error(), "cancelled": errors.Is(err, context.Canceled)}
}

func chat(ctx context.Context, client *openai.Client, r *call.Request, o *call.Outcome) error {
	ask := openai.ChatCompletionRequest{Model: r.Model, Messages: []openai.ChatCompletionMessage{{Role: "user", Content: "hello"}}}
	if r.Tools != nil {
		if err := json.Unmarshal(r.Tools, &ask.Tools); err != nil {
			return err
		}
	}
	if r.Stream {
		return chatStream(ctx, client, ask, r, o)
	}
	answer, err := client.CreateChatCompletion(ctx, ask)
	if err != nil {
		return err
	}
	o.Raw, o.Usage = answer, answer.Usage
	choice := answer.Choices[0]
	o.Text, o.Reasoning, o.Finish = choice.Message.Content, choice.Message.ReasoningContent, string(choice.FinishReason)
	for _, c := range choice.Message.ToolCalls {
		o.ToolCalls = append(o.ToolCalls, call.ToolCall{ID: c.ID, Name: c.Function.Name, Args: json.RawMessage(c.Function.Arguments)})
	}
	return nil
}

func chatStream(ctx context.Context, client *openai.Client, ask openai.ChatCompletionRequest, r *call.Request, o *call.Outcome) error {
	if r.Usage {
		ask.StreamOptions = &openai.StreamOptions{IncludeUsage: true}
	}
	stream, err := client.CreateChatCompletionStream(ctx, ask)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	var pieces []call.Piece
	for {
		c, err := stream.Recv()
		if err != nil {
			o.ToolCalls = call.Join(pieces)
			return unlessEnd(err)
		}
		o.AddHead(call.Head{ID: c.ID, Object: c.Object, Model: c.Model, Fingerprint: c.SystemFingerprint, Created: c.Created})
		if c.Usage != nil {
			o.Usage = c.Usage
		}
		for i := range c.Choices {
			pieces = append(pieces, addChoice(r, o, &c.Choices[i])...)
		}
	}
}

func addChoice(r *call.Request, o *call.Outcome, choice *openai.ChatCompletionStreamChoice) (pieces []call.Piece) {
	o.AddText(r, choice.Delta.Content)
	o.Reasoning += choice.Delta.ReasoningContent
	for _, t := range choice.Delta.ToolCalls {
		pieces = append(pieces, call.Piece{Index: *t.Index, ID: t.ID, Name: t.Function.Name, Arg: t.Function.Arguments})
	}
	if choice.FinishReason != "" {
		o.Finish = string(choice.FinishReason)
	}
	return pieces
}

func complete(ctx context.Context, client *openai.Client, r *call.Request, o *call.Outcome) error {
	ask := openai.CompletionRequest{Model: r.Model, Prompt: r.Prompt, Suffix: r.Suffix}
	if !r.Stream {
		answer, err := client.CreateCompletion(ctx, ask)
		if err != nil {
			return err
		}
		o.Raw, o.Text, o.Finish = answer, answer.Choices[0].Text, answer.Choices[0].FinishReason
		return nil
	}
	stream, err := client.CreateCompletionStream(ctx, ask)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for {
		c, err := stream.Recv()
		if err != nil {
			return unlessEnd(err)
		}
		o.AddHead(call.Head{ID: c.ID, Object: c.Object, Model: c.Model, Created: c.Created})
		for _, choice := range c.Choices {
			o.AddText(r, choice.Text)
			if choice.FinishReason != "" {
				o.Finish = choice.FinishReason
			}
		}
	}
}

// unlessEnd returns nil for the end of a stream. The package returns io.EOF after [DONE], and when a body just ends.
func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
