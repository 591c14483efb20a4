// Package openai3 calls OpenAI's Go package. generate.sh makes openai2 of it, for the major before.
package openai3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/duckwire/duckwire/handlers/interop/matrix/goclients/call"
)

// Do makes a call.
func Do(ctx context.Context, r *call.Request) (o call.Outcome) {
	client := openai.NewClient(option.WithBaseURL(r.BaseURL+"/"), option.WithAPIKey(r.APIKey), option.WithMaxRetries(0))
	var err error
	switch r.Kind {
	case "chat":
		err = chat(ctx, &client, r, &o)
	case "complete":
		err = complete(ctx, &client, r, &o)
	case "models":
		err = models(ctx, &client, &o)
	}
	if err != nil {
		o.Fail(seen(err))
	}
	return o
}

// seen is what a program can see of an error.
func seen(err error) map[string]any {
	var e *openai.Error
	if !errors.As(err, &e) {
		return map[string]any{"class": fmt.Sprintf("%T", err), "message": err.Error(), "cancelled": errors.Is(err, context.Canceled)}
	}
	return map[string]any{
		"status": e.StatusCode, "code": e.Code, "param": e.Param, "type": e.Type, "message": e.Message,
		"retryAfter": e.Response.Header.Get("Retry-After"),
	}
}

func chat(ctx context.Context, client *openai.Client, r *call.Request, o *call.Outcome) error {
	params := openai.ChatCompletionNewParams{Model: r.Model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")}}
	if r.Tools != nil {
		params.SetExtraFields(map[string]any{"tools": r.Tools})
	}
	if !r.Stream {
		return chatWhole(ctx, client, params, o)
	}
	if r.Usage {
		params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: param.NewOpt(true)}
	}
	return chatStream(r, client.Chat.Completions.NewStreaming(ctx, params), o)
}

func chatWhole(ctx context.Context, client *openai.Client, params openai.ChatCompletionNewParams, o *call.Outcome) error {
	answer, err := client.Chat.Completions.New(ctx, params)
	if err != nil {
		return err
	}
	o.Raw, o.Usage = json.RawMessage(answer.RawJSON()), json.RawMessage(answer.Usage.RawJSON())
	choice := answer.Choices[0]
	o.Text, o.Finish, o.Reasoning = choice.Message.Content, choice.FinishReason, extra(choice.Message.RawJSON())
	for _, c := range choice.Message.ToolCalls {
		o.ToolCalls = append(o.ToolCalls, call.ToolCall{ID: c.ID, Name: c.Function.Name, Args: json.RawMessage(c.Function.Arguments)})
	}
	return nil
}

func chatStream(r *call.Request, stream *ssestream.Stream[openai.ChatCompletionChunk], o *call.Outcome) error {
	var pieces []call.Piece
	for stream.Next() {
		c := stream.Current()
		o.AddHead(call.Head{ID: c.ID, Object: string(c.Object), Model: c.Model, Fingerprint: c.SystemFingerprint, Created: c.Created})
		if c.JSON.Usage.Valid() {
			o.Usage = json.RawMessage(c.Usage.RawJSON())
		}
		for _, choice := range c.Choices {
			o.AddText(r, choice.Delta.Content)
			o.Reasoning += extra(choice.Delta.RawJSON())
			for _, t := range choice.Delta.ToolCalls {
				pieces = append(pieces, call.Piece{Index: int(t.Index), ID: t.ID, Name: t.Function.Name, Arg: t.Function.Arguments})
			}
			if choice.FinishReason != "" {
				o.Finish = choice.FinishReason
			}
		}
	}
	o.ToolCalls = call.Join(pieces)
	return stream.Err()
}

// extra returns the reasoning of a message or a delta, for which the package has no field.
func extra(raw string) string {
	var m struct {
		Reasoning string `json:"reasoning_content"`
	}
	_ = json.Unmarshal([]byte(raw), &m)
	return m.Reasoning
}

func complete(ctx context.Context, client *openai.Client, r *call.Request, o *call.Outcome) error {
	params := openai.CompletionNewParams{
		Model: openai.CompletionNewParamsModel(r.Model), Suffix: param.NewOpt(r.Suffix),
		Prompt: openai.CompletionNewParamsPromptUnion{OfString: param.NewOpt(r.Prompt)},
	}
	if !r.Stream {
		answer, err := client.Completions.New(ctx, params)
		if err != nil {
			return err
		}
		o.Raw, o.Text, o.Finish = json.RawMessage(answer.RawJSON()), answer.Choices[0].Text, string(answer.Choices[0].FinishReason)
		return nil
	}
	stream := client.Completions.NewStreaming(ctx, params)
	for stream.Next() {
		c := stream.Current()
		o.AddHead(call.Head{ID: c.ID, Object: string(c.Object), Model: c.Model, Fingerprint: c.SystemFingerprint, Created: c.Created})
		for _, choice := range c.Choices {
			o.AddText(r, choice.Text)
			if choice.FinishReason != "" {
				o.Finish = string(choice.FinishReason)
			}
		}
	}
	return stream.Err()
}

func models(ctx context.Context, client *openai.Client, o *call.Outcome) error {
	var all []json.RawMessage
	pages := client.Models.ListAutoPaging(ctx)
	for pages.Next() {
		m := pages.Current()
		all = append(all, json.RawMessage(m.RawJSON()))
	}
	o.Raw = all
	return pages.Err()
}
