package dir

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"

	"github.com/fastship/fastship/cache"
)

// keyForm is what may be a file's name; cache.Key's own form is 64
// hexadecimal digits.
var keyForm = regexp.MustCompile(`^[0-9A-Za-z_-][0-9A-Za-z._-]{0,127}$`)

func (s *Store) actionPath(k cache.Key) (string, error) {
	if !keyForm.MatchString(string(k)) {
		return "", fmt.Errorf("action key %q: want up to 128 letters, digits, '-', '_' and '.'", k)
	}
	return filepath.Join(s.actionDir(), string(k)), nil
}

// GetAction implements cache.ActionStore.
func (s *Store) GetAction(ctx context.Context, k cache.Key) (cache.Action, error) {
	if err := ctx.Err(); err != nil {
		return cache.Action{}, err
	}
	path, err := s.actionPath(k)
	if err != nil {
		return cache.Action{}, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cache.Action{}, fmt.Errorf("action %s: %w", k, cache.ErrNotFound)
	}
	if err != nil {
		return cache.Action{}, fmt.Errorf("read action %s: %w", k, err)
	}
	a, err := decodeAction(k, b)
	if err != nil {
		return cache.Action{}, fmt.Errorf("read action %s: %w: %w", k, err, cache.ErrNotFound)
	}
	if info, err := os.Lstat(path); err == nil {
		s.use(path, info)
	}
	return a, nil
}

// PutAction implements cache.ActionStore.
func (s *Store) PutAction(ctx context.Context, k cache.Key, a cache.Action) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := s.actionPath(k)
	if err != nil {
		return err
	}
	b, err := encodeAction(k, a)
	if err != nil {
		return fmt.Errorf("write action %s: %w", k, err)
	}
	if err := s.writeFile(path, b); err != nil {
		return fmt.Errorf("write action %s: %w", k, err)
	}
	return nil
}

// writeFile replaces a file as a whole.
func (s *Store) writeFile(path string, b []byte) error {
	w, tmp, err := s.createTmp()
	if err != nil {
		return err
	}
	defer w.Close() // after the rename: its lock guards the name in tmp
	if _, err := w.Write(b); err != nil {
		_ = s.fs.Remove(tmp)
		return err
	}
	if err := s.place(tmp, path); err != nil {
		_ = s.fs.Remove(tmp)
		return err
	}
	return nil
}

// DeleteAction implements cache.ActionStore.
func (s *Store) DeleteAction(ctx context.Context, k cache.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := s.actionPath(k)
	if err != nil {
		return err
	}
	if err := ignoreAbsent(s.fs.Remove(path)); err != nil {
		return fmt.Errorf("delete action %s: %w", k, err)
	}
	return nil
}

// ListActions implements cache.Store. Modified is when the action was last put
// or, to the hour, used.
func (s *Store) ListActions(ctx context.Context) iter.Seq2[cache.ActionInfo, error] {
	return func(yield func(cache.ActionInfo, error) bool) {
		entries, err := readDir(s.actionDir())
		if err != nil {
			yield(cache.ActionInfo{}, fmt.Errorf("list actions: %w", err))
			return
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				yield(cache.ActionInfo{}, err)
				return
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || !keyForm.MatchString(e.Name())) {
				continue // gone since, or not ours
			}
			action := cache.ActionInfo{Key: cache.Key(e.Name())}
			if err != nil {
				err = fmt.Errorf("list actions: %w", err)
			} else {
				action.Modified = s.lastUsed(filepath.Join(s.actionDir(), e.Name()), info)
			}
			if !yield(action, err) {
				return
			}
		}
	}
}

// An action's file is one line with the format's name and a sum over the key
// and the rest, and then the action as JSON: damage, and a file under another
// name than its own, are told from an action that holds.
const actionFormat = "fastship-action-1 "

func actionHead(k cache.Key, body []byte) string {
	return actionFormat + string(cache.Sum(append([]byte(k+"\n"), body...))) + "\n"
}

func encodeAction(k cache.Key, a cache.Action) ([]byte, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	body = append(body, '\n')
	return append([]byte(actionHead(k, body)), body...), nil
}

func decodeAction(k cache.Key, b []byte) (cache.Action, error) {
	var a cache.Action
	head, body, _ := bytes.Cut(b, []byte("\n"))
	if !bytes.HasPrefix(head, []byte(actionFormat)) {
		return a, errors.New("not an action of this format")
	}
	if string(head)+"\n" != actionHead(k, body) {
		return a, errors.New("its sum does not match")
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return cache.Action{}, err
	}
	return a, nil
}
