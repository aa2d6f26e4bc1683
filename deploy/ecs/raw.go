package ecs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// keepBody stores the answer's body as it came over the wire, and lets the
// SDK read it too. A body that breaks off reaches the SDK broken off.
func keepBody(body *[]byte) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		// After, in this step, is next to the wire.
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("keepBody", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
		) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, meta, err := next.HandleDeserialize(ctx, in)
			response, ok := out.RawResponse.(*smithyhttp.Response)
			if err != nil || !ok {
				return out, meta, err
			}
			var readErr error
			*body, readErr = io.ReadAll(response.Body)
			response.Body.Close()
			var again io.Reader = bytes.NewReader(*body)
			if readErr != nil {
				again = io.MultiReader(again, broken{readErr})
			}
			response.Body = io.NopCloser(again)
			return out, meta, nil
		}), middleware.After)
	}
}

// broken is a reader that fails.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// replaceBody sends these bytes instead of what the SDK made of its typed
// input. It stands right behind the serializer, so that length and signature
// are those of what is sent.
func replaceBody(body json.RawMessage) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Serialize.Insert(middleware.SerializeMiddlewareFunc("replaceBody", func(
			ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler,
		) (middleware.SerializeOutput, middleware.Metadata, error) {
			request, ok := in.Request.(*smithyhttp.Request)
			if !ok {
				return middleware.SerializeOutput{}, middleware.Metadata{}, fmt.Errorf("replace the request's body: unexpected transport %T", in.Request)
			}
			request, err := request.SetStream(bytes.NewReader(body))
			if err != nil {
				return middleware.SerializeOutput{}, middleware.Metadata{}, fmt.Errorf("replace the request's body: %w", err)
			}
			in.Request = request
			return next.HandleSerialize(ctx, in)
		}), "OperationSerializer", middleware.After)
	}
}
