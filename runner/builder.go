package runner

import (
	"context"
	"encoding/json"
	"fmt"
)

// Builder collects steps and the edges between them. Its zero value is ready.
// An edge is a Ref, and a Ref comes only from adding a node, so the graph has
// no cycles.
type Builder struct {
	nodes []*node
}

// Ref stands for the output of a node that has been added to a Builder.
type Ref[T any] struct {
	owner *Builder
	index int
}

// node is a step or a join with its types erased. values is indexed like
// Builder.nodes; a node reads only what it depends on.
type node struct {
	name   string // empty for a join
	deps   []int
	check  func(context.Context) error
	plan   func(ctx context.Context, values []any) (any, []string, error)
	run    func(ctx context.Context, env Env, values []any) (outcome, error)
	decode func(json.RawMessage) (any, error)

	prepare func(context.Context) // nil for a join, and a step that is no Preparer
}

// outcome is a Result with its type erased.
type outcome struct {
	value  any
	status Status
	reason string
	key    string
}

func (b *Builder) add(n *node) int {
	b.nodes = append(b.nodes, n)
	return len(b.nodes) - 1
}

func (b *Builder) own(owner *Builder) {
	if owner != b {
		panic("runner: Ref of another Builder") // the caller's bug, not input
	}
}

// Add adds a step that consumes in and returns the handle of its output.
func Add[In, Out any](b *Builder, s Step[In, Out], in Ref[In]) Ref[Out] {
	b.own(in.owner)
	n := &node{
		name:  s.Name(),
		deps:  []int{in.index},
		check: s.Check,
		plan: func(ctx context.Context, values []any) (any, []string, error) {
			p, err := s.Plan(ctx, values[in.index].(In))
			return p.Out, p.Lines, err
		},
		run: func(ctx context.Context, env Env, values []any) (outcome, error) {
			r, err := s.Run(ctx, env, values[in.index].(In))
			if r.Status == "" {
				r.Status = Ran
			}
			return outcome{r.Out, r.Status, r.Reason, r.Key}, err
		},
		decode: func(raw json.RawMessage) (any, error) {
			var out Out
			if err := json.Unmarshal(raw, &out); err != nil {
				return nil, fmt.Errorf("read the recorded output of %s: %w", s.Name(), err)
			}
			return out, nil
		},
	}
	if p, ok := s.(Preparer); ok {
		n.prepare = p.Prepare
	}
	return Ref[Out]{b, b.add(n)}
}

// Value adds a constant.
func Value[T any](b *Builder, v T) Ref[T] {
	return joinNode(b, nil, func([]any) T { return v })
}

// Map turns one output into the input that another step wants.
func Map[A, T any](b *Builder, x Ref[A], f func(A) T) Ref[T] {
	b.own(x.owner)
	return joinNode(b, []int{x.index}, func(v []any) T { return f(v[x.index].(A)) })
}

// Join makes one input of two outputs.
func Join[A, B, T any](b *Builder, x Ref[A], y Ref[B], f func(A, B) T) Ref[T] {
	b.own(x.owner)
	b.own(y.owner)
	return joinNode(b, []int{x.index, y.index}, func(v []any) T {
		return f(v[x.index].(A), v[y.index].(B))
	})
}

func joinNode[T any](b *Builder, deps []int, f func([]any) T) Ref[T] {
	return Ref[T]{b, b.add(&node{
		deps: deps,
		plan: func(_ context.Context, values []any) (any, []string, error) {
			return f(values), nil, nil
		},
		run: func(_ context.Context, _ Env, values []any) (outcome, error) {
			return outcome{value: f(values)}, nil
		},
	})}
}

// Names lists the steps in the order they were added.
func (b *Builder) Names() []string {
	var names []string
	for _, n := range b.nodes {
		if n.name != "" {
			names = append(names, n.name)
		}
	}
	return names
}
