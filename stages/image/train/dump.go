package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/stages/internal/oci"
)

const (
	argumentsFile = "java.args"
	flagsFile     = "jvm.flags"
)

// dump has the JVM write the archive, and then open it with the very command
// line of the image: what a JVM would refuse does not get into one.
func (t *training) dump(ctx context.Context, list []string) error {
	if err := os.WriteFile(t.at(wantedFile), []byte(strings.Join(list, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the list of classes: %w", err)
	}
	settings, err := t.baseSettings()
	if err != nil {
		return err
	}
	for name, text := range t.texts(settings) {
		if err := os.WriteFile(t.at(name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return t.write(ctx)
}

func (t *training) at(name string) string { return filepath.Join(t.work, Folder, name) }

// write writes the archive, and opens it.
func (t *training) write(ctx context.Context) error {
	place, err := t.complete(ctx, &tail{}, "write the archive", true, t.dumpArguments()...)
	if err != nil {
		return err
	}
	// Read by the image's user, whoever of this machine's users wrote it.
	if err := keep(container.Written(place, "/"+Folder+"/"+archiveFile), t.at(archiveFile)); err != nil {
		return err
	}
	_, err = t.complete(ctx, &tail{}, "open the archive", false, t.tryArguments()...)
	return err
}

// complete runs the JVM to its good end.
func (t *training) complete(ctx context.Context, out *tail, what string, steady bool, args ...string) (place string, err error) {
	limit := t.limit(dumpLimit)
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, place, err := t.execute(limited, steady, out, args...)
	if failed, ok := errors.AsType[*container.StartError](err); ok {
		return "", &Refused{Reason: fmt.Sprintf("%s: %v", what, failed)}
	}
	if err != nil {
		return "", err
	}
	switch exit := c.Wait(); {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case limited.Err() != nil:
		return "", &Refused{Reason: fmt.Sprintf("%s: the JVM took longer than %s", what, limit), Slow: true}
	case exit.Code != 0:
		return "", &Refused{Reason: fmt.Sprintf("%s: the JVM ended with %s: %s", what, exit, out.cause())}
	}
	return place, nil
}

// dumpArguments make the archive of the class path that every later one
// begins with. Its heap and collector are fixed, because its bytes depend on
// them; an archive that G1 wrote serves the serial and the parallel collector
// too. Its classes are not linked to one another (JEP 483): a JVM that cannot load
// the objects of linked ones into its first heap does not start at all, and
// JAVA_TOOL_OPTIONS can choose any.
func (t *training) dumpArguments() []string {
	args := []string{
		"-Xshare:dump", "-Xms512m", "-Xmx512m", "-XX:ActiveProcessorCount=2",
		"-XX:SharedClassListFile=/" + Folder + "/" + wantedFile,
		"-XX:SharedArchiveFile=/" + Folder + "/" + archiveFile,
	}
	if !choosesCollector(t.Env) {
		args = append(args, "-XX:+UseG1GC")
	}
	path := strings.Join(t.Libraries, ":")
	if t.Whole {
		path = t.App
	}
	return slices.Concat(args, archiveFlags(t.Flags), []string{"-cp", path})
}

// tryArguments open the archive or fail.
func (t *training) tryArguments() []string {
	args := slices.Concat(Arguments(), t.Options, t.Flags, []string{"-Xshare:on"})
	if t.Whole {
		args = append(args, "-cp", t.App)
	}
	return append(args, "-version")
}

// texts are the small files beside the archive.
//
// The archive is named in a file of flags, because a flag of the command line
// would beat JAVA_TOOL_OPTIONS: so -XX:SharedArchiveFile there names another
// one, and -Xshare:off there does without. What the JVM has to say of an
// archive that it does not take goes to stderr: on stdout it would break logs
// in JSON. settings are the base's, for the JVM reads the last such file alone.
func (t *training) texts(settings string) map[string]string {
	args := []string{"-XX:Flags=/" + Folder + "/" + flagsFile}
	for _, tag := range t.logTags() {
		args = append(args, "-Xlog:"+tag+"*=off", "-Xlog:"+tag+"*=warning:stderr")
	}
	if !t.Whole {
		args = append(args, "-cp", quoted(t.classPath()))
	}
	return map[string]string{
		flagsFile:     settings + "SharedArchiveFile=/" + Folder + "/" + archiveFile + "\n",
		argumentsFile: strings.Join(args, "\n") + "\n",
	}
}

// baseSettings are the lines of the file that the base's own -XX:Flags names.
func (t *training) baseSettings() (string, error) {
	var lines []byte
	for _, flag := range t.Base {
		if file, ok := strings.CutPrefix(flag, "-XX:Flags="); ok {
			var err error
			if lines, err = os.ReadFile(filepath.Join(t.root, file)); err != nil {
				return "", fmt.Errorf("read the base's flags: %w", err)
			}
		}
	}
	if len(lines) > 0 && lines[len(lines)-1] != '\n' {
		lines = append(lines, '\n')
	}
	return string(lines), nil
}

// logTags are those of the JVM's messages on archives; a tag that it does not
// know would keep it from starting.
func (t *training) logTags() []string {
	if t.Release >= firstAOT {
		return []string{"cds", "aot"}
	}
	return []string{"cds"}
}

// firstAOT is the release whose archives are also called AOT caches (JEP 483).
const firstAOT = 24

// quoted writes a word of java's argument files (the java command's manual,
// “java Command-Line Argument Files”).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// layer puts the archive and the files beside it into a layer.
func (t *training) layer(ctx context.Context) (oci.Layer, error) {
	var files []oci.File
	for _, name := range []string{archiveFile, argumentsFile, flagsFile} {
		path := filepath.Join(t.work, Folder, name)
		info, err := os.Stat(path)
		if err != nil {
			return oci.Layer{}, fmt.Errorf("read the archive: %w", err)
		}
		files = append(files, oci.File{
			Path: Folder + "/" + name, Mode: 0o644, ModTime: time.Time{}, Size: info.Size(),
			Open: func() (io.ReadCloser, error) { return os.Open(path) },
		})
	}
	return oci.WriteLayer(ctx, t.Store, "cds", files, t.Codec)
}

func keep(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return &Refused{Reason: "the JVM ended well and wrote no archive"}
		}
		return fmt.Errorf("take the archive: %w", err)
	}
	return os.Chmod(to, 0o644)
}
