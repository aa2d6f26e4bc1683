package ecs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// takeBody stores the body of an answer as it came over the wire. The SDK gets
// an empty object instead, so that a definition which its model cannot read
// is no error; refusals, and bodies that break off, it gets as they are.
func takeBody(body *[]byte) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		// After, in this step, is next to the wire.
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("takeBody", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
		) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, meta, err := next.HandleDeserialize(ctx, in)
			response, ok := out.RawResponse.(*smithyhttp.Response)
			if err != nil || !ok || response.StatusCode != http.StatusOK {
				return out, meta, err
			}
			var readErr error
			*body, readErr = io.ReadAll(response.Body)
			response.Body.Close()
			var rest io.Reader = strings.NewReader("{}")
			if readErr != nil {
				rest = broken{readErr}
			}
			response.Body = io.NopCloser(rest)
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
