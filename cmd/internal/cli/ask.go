package cli

import (
	"bufio"
	"context"
	"os"
	"strings"

	"golang.org/x/term"
)

// asker asks the person at the terminal a question that has a yes or no. It is
// nil where nobody is: without a terminal on both sides, or with events on
// stdout. say shows the question.
func (e Env) asker(say func(question string)) func(ctx context.Context, question string) bool {
	err, ok := e.Stderr.(*os.File)
	if e.Stdin == nil || !ok || !term.IsTerminal(int(e.Stdin.Fd())) || !term.IsTerminal(int(err.Fd())) {
		return nil
	}
	return func(ctx context.Context, question string) bool {
		say(question + " [y/N]")
		answer := make(chan string, 1)
		go func() { // a read from a terminal cannot be broken off: it ends with the process
			line, _ := bufio.NewReader(e.Stdin).ReadString('\n')
			answer <- strings.ToLower(strings.TrimSpace(line))
		}()
		select {
		case <-ctx.Done():
			return false
		case s := <-answer:
			return s == "y" || s == "yes"
		}
	}
}
