package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fastship/fastship/internal/redact"
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/stages/image/inspect"
	"github.com/fastship/fastship/stages/push"
	"github.com/spf13/cobra"
)

// inspectFlags are those of fastship image inspect.
type inspectFlags struct {
	against, contents, platform string
	json, files, insecure       bool
}

func newImageInspect(env Env) *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect [REF|PATH]",
		Short: "Look into an image: layers, files, what changed",
		Long: `Looks into an image, whoever made it: its layers and what is in them, the bytes
that a Fargate task pulls, what may differ from build to build and, with
--against, what differs from another image, layer by layer and file by file.

The image is in a folder with an OCI layout, in a project's .fastship/image
(default: this folder's), in an archive of docker save or an OCI layout, or in a
registry. Layers that both images have are compared by digest and not read.

` + exitTable(),
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			name := "."
			if len(args) == 1 {
				name = args[0]
			}
			return f.inspect(ctx, env, name)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.against, "against", "", "another image (REF or PATH) to compare with: the older one")
	flags.StringVar(&f.contents, "contents", inspect.Auto, "which layers are read: auto (of a registry those of up to 16 MB), all, none")
	flags.StringVar(&f.platform, "platform", "", "which image of an index: linux/arm64 (default: this machine's)")
	flags.BoolVar(&f.files, "files", false, "list the jars of each layer, too")
	flags.BoolVar(&f.insecure, "insecure", false, "allow plain http to a registry that is not on this machine")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f inspectFlags) inspect(ctx context.Context, env Env, name string) error {
	if err := inspect.CheckDepth(f.contents); err != nil {
		return err
	}
	report, err := f.look(ctx, env, name)
	if err != nil {
		return err
	}
	if f.against != "" {
		before, err := f.look(ctx, env, f.against)
		if err != nil {
			return err
		}
		report.Against = inspect.Compare(report, before)
	}
	mask := redact.New(redact.FromEnv(env.Environ)...)
	if f.json {
		b, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(env.Stdout, mask.String(string(b)))
		return err
	}
	_, err = io.WriteString(env.Stdout, mask.String(f.text(report)))
	return err
}

func (f inspectFlags) look(ctx context.Context, env Env, name string) (*inspect.Report, error) {
	image, err := inspect.Open(ctx, name, inspect.Options{
		Platform: f.platform, Insecure: f.insecure, Keychain: push.Keychain(push.Deps{Getenv: env.Getenv}),
	})
	if err != nil {
		return nil, err
	}
	defer image.Close()
	return inspect.Look(ctx, image, f.contents)
}

// text is a report for a person.
func (f inspectFlags) text(r *inspect.Report) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(&b, "%-9s %s\n", name, text)
		}
	}
	line("image", "%s", r.Name)
	line("digest", "%s", r.Digest)
	line("platform", "%s", r.Platform)
	line("created", "%s", r.Created.Format(time.RFC3339))
	line("revision", "%s", r.Revision)
	line("base", "%s", r.Base)
	line("starts", "%s", strings.Join(append(r.Entrypoint, r.Args...), " "))
	line("user", "%s", r.User)
	line("ports", "%s", strings.Join(r.Ports, " "))
	if r.Digest == "" { // of an archive, whose layers another compression waits for
		line("size", "%s in %d layers%s; what a task pulls is known of a layout or a registry", sizes.Text(r.Bytes), len(r.Layers), unpacked(r))
	} else {
		line("pull", "a Fargate task pulls all of it: %s in %d layers%s", sizes.Text(r.Bytes), len(r.Layers), unpacked(r))
	}
	for _, reason := range r.Why {
		line("made", "since the image before: %s", reason)
	}
	for i, l := range r.Layers {
		b.WriteString(layerText(i, l, f.files))
	}
	if r.Against != nil {
		b.WriteString(differenceText(r.Against))
	}
	return b.String()
}

func unpacked(r *inspect.Report) string {
	if r.Uncompressed == 0 {
		return ""
	}
	return ", " + sizes.Text(r.Uncompressed) + " unpacked"
}

// codecOf is a layer's compression, by its media type.
func codecOf(mediaType string) string {
	for _, codec := range []string{"gzip", "zstd"} {
		if strings.HasSuffix(mediaType, codec) {
			return codec
		}
	}
	return "tar"
}

func layerText(number int, l inspect.Layer, jars bool) string {
	var b strings.Builder
	id := l.Digest
	if id == "" {
		id = l.DiffID
	}
	fmt.Fprintf(&b, "\nlayer %-3d %s: %s %s", number+1, l.Role, sizes.Text(l.Bytes), codecOf(l.MediaType))
	if !l.Read {
		fmt.Fprintf(&b, ", not read (--contents all)\n          %s\n", id)
		return b.String()
	}
	fmt.Fprintf(&b, ", %s unpacked\n          %s\n", sizes.Text(l.Uncompressed), id)
	var parts []string
	for _, part := range []struct {
		n          int
		one, other string
	}{{len(l.Jars), "jar", "jars"}, {l.Files - len(l.Jars), "other file", "other files"}, {l.Folders, "folder", "folders"}, {l.Links, "link", "links"}, {l.Classes, "class", "classes"}, {l.Deletions, "deletion", "deletions"}} {
		if part.n == 1 {
			parts = append(parts, "1 "+part.one)
		} else if part.n > 1 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.other))
		}
	}
	if len(parts) == 0 {
		parts = []string{"empty"}
	}
	fmt.Fprintf(&b, "          %s\n", strings.Join(parts, ", "))
	for _, v := range l.Varying {
		fmt.Fprintf(&b, "          varies: %s\n", v)
	}
	for _, j := range l.Jars {
		if jars {
			fmt.Fprintf(&b, "          %s  %s  %s\n", j.Path, sizes.Text(j.Bytes), jarName(j))
		}
	}
	return b.String()
}

func jarName(j inspect.Jar) string {
	if j.Broken != "" {
		return "broken: " + j.Broken
	}
	return strings.Trim(j.Group+":"+j.Name+":"+j.Version, ":")
}

// signs stand for states in a list of changes.
var signs = map[string]string{inspect.Added: "+", inspect.Removed: "-", inspect.Changed: "~"}

func differenceText(d *inspect.Difference) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nagainst   %s\n          whoever has that one pulls %s more\n", strings.TrimSpace(d.Name+" "+d.Digest), sizes.Text(d.Bytes))
	for _, c := range d.Config {
		fmt.Fprintf(&b, "~ config  %s\n", c)
	}
	for _, l := range d.Layers {
		if l.State == inspect.Same {
			fmt.Fprintf(&b, "= layer   %s, %s\n", l.Role, sizes.Text(l.Bytes))
			continue
		}
		fmt.Fprintf(&b, "%s layer   %s, %s → %s\n", signs[l.State], l.Role, sizes.Text(l.Was), sizes.Text(l.Bytes))
		if l.Unread {
			b.WriteString("          its files were not compared: --contents all reads them\n")
		}
		for _, c := range l.Changes {
			fmt.Fprintf(&b, "  %s %s", signs[c.State], c.Path)
			if c.Note != "" {
				fmt.Fprintf(&b, " (%s)", c.Note)
			}
			if c.Was+c.Bytes > 0 {
				fmt.Fprintf(&b, ", %s → %s", sizes.Text(c.Was), sizes.Text(c.Bytes))
			}
			b.WriteByte('\n')
			for _, in := range c.Inside {
				fmt.Fprintf(&b, "      %s\n", in)
			}
		}
	}
	return b.String()
}
