package road

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image"
	"github.com/fastship/fastship/stages/maven"
	"github.com/fastship/fastship/stages/push"
	"github.com/fastship/fastship/stages/rollout"
	"github.com/fastship/fastship/stages/source"
)

// build joins the stages that this run has: always up to the image, the push
// when there is a repository, the rollout when there is a service; in the
// sandbox all of them.
func build(opt Options, memory *memory, place *place) (*runner.Builder, error) {
	b := &runner.Builder{}
	var service destination // nil: nobody knows who will run the image
	if opt.deploys() {
		service = rollout.Stage(opt.rollout())
	}
	var pushing *push.Step // nil: nothing is pushed
	made, img, pushed := buildImage(b, opt, memory, service, func(ctx context.Context, blobs int) (func(cache.Descriptor), func(context.Context)) {
		if pushing == nil {
			return func(cache.Descriptor) {}, func(context.Context) {}
		}
		return pushing.Expect(ctx, blobs)
	})
	switch {
	case opt.Sandbox:
		reference := runner.Add(b, place.pushStep(), pushed)
		runner.Add(b, place.rolloutStep(), runner.Join(b, reference, img, rolloutIn))
	case opt.Spec.Image.Repository == "" && opt.Spec.Image.Outputs.Named():
		return nil, fault.New(fault.BadInput, "set image.repository to where the image is pulled from", "fastship.yaml: image.outputs names an image in a registry, and nothing is pushed")
	case opt.Spec.Image.Repository == "" && opt.Spec.Deploy.Deploys():
		return nil, fault.New(fault.BadInput, "set image.repository to where ECS pulls the image from", "fastship.yaml: deploy.service needs image.repository")
	case opt.Spec.Image.Repository != "":
		pushing = push.New(opt.pushConfig(), opt.attaching(&memory.Cache, made))
		reference := runner.Add(b, pushing, pushed)
		if service != nil {
			runner.Add(b, service, runner.Join(b, reference, img, rolloutIn))
		}
	}
	return b, nil
}

// deploys tells whether this run has a rollout outside the sandbox.
func (o Options) deploys() bool {
	return !o.Sandbox && o.Spec.Image.Repository != "" && o.Spec.Deploy.Deploys()
}

// coming is push.Step's Expect, where there is a push.
type coming = func(ctx context.Context, blobs int) (layer func(cache.Descriptor), withdraw func(context.Context))

// buildImage joins the stages from the source, or a jar that is there, to the
// image. coming is told of a new image before it is made.
func buildImage(b *runner.Builder, opt Options, memory *memory, service destination, coming coming) (*image.Step, runner.Ref[image.Out], runner.Ref[push.In]) {
	if opt.Jar != nil {
		made := imageStep(opt, &memory.Cache, nil, service, coming)
		img := runner.Add(b, made, runner.Value(b, *opt.Jar))
		return made, img, runner.Map(b, img, func(i image.Out) push.In { return pushIn(source.Out{}, i) })
	}
	src := runner.Add(b, source.New(source.Config{Dir: opt.Dir}), runner.Value(b, source.In{}))
	var made *image.Step
	job := mavenStep(opt, memory, func(libraries []maven.Foreseen) { made.Foresee(foreseen(libraries)) })
	mvn := runner.Add(b, job, runner.Map(b, src, mavenIn))
	made = imageStep(opt, &memory.Cache, job, service, coming)
	img := runner.Add(b, made, runner.Join(b, src, mvn, func(s source.Out, m maven.Out) image.In { return imageIn(opt, s, m) }))
	return made, img, runner.Join(b, src, img, pushIn)
}

// pushDeps has the role for the registry of its account: what deploys there
// pushes there, too.
func (o Options) pushDeps() push.Deps {
	d := push.Deps{Secret: o.Secret, Role: o.Spec.Deploy.Role, ExternalID: o.Spec.Deploy.ExternalID, Getenv: lookup(o.Environ)}
	if o.CacheDir != "" {
		// The user's, whatever the cache's scope: nothing of it ever reaches a store.
		d.State = filepath.Join(o.CacheDir, "registries")
		if o.Spec.Image.Login != "fresh" {
			d.Logins = d.State
		}
	}
	if o.Spec.Deploy.Deploys() {
		steps := rollout.Each(o.rollout())
		d.Containers = func(ctx context.Context) (list []push.Container, err error) {
			for _, s := range steps {
				name, err := s.Container(ctx)
				if err != nil {
					return nil, err
				}
				list = append(list, push.Container{Service: s.ServiceName(), Name: name})
			}
			return list, nil
		}
	}
	return d
}

// attaching lends the push what the image's step knows of the image.
func (o Options) attaching(memory *cache.Cache, made *image.Step) push.Deps {
	d := o.pushDeps()
	d.Cache = memory
	d.Attachments = func(ctx context.Context, digest string) ([]push.Attachment, error) {
		list, err := made.Attachments(ctx, digest)
		var out []push.Attachment
		for _, a := range list {
			out = append(out, push.Attachment(a))
		}
		return out, err
	}
	return d
}

func (o Options) pushConfig() push.Config {
	config := o.Spec.Image.Push()
	config.Dir = o.Dir
	config.Files.Definitions, config.Files.Detail = o.inProject(config.Files.Definitions), o.inProject(config.Files.Detail)
	if len(o.Spec.Deploy.Services) == 0 { // which may each have another
		config.Files.Container = o.Spec.Deploy.Container
	}
	return config
}

func (o Options) rollout() (rollout.Config, rollout.Deps) {
	config := o.Spec.Deploy
	config.Repository, config.Dir = o.Spec.Image.Repository, o.Dir
	if base := o.Spec.Image.Base; base == "" || base == "jlink" { // else nobody knows before it is read
		config.Image.Bare, config.Image.Files = !o.Spec.Image.Debug, len(o.Spec.Image.ImageConfig.Files) > 0
	}
	config.Image.Platforms = o.Spec.Image.Platforms // without any, the image is made for the service
	return config, rollout.Deps{Getenv: lookup(o.Environ), Ask: o.Ask, State: o.recordDir()}
}

// inProject makes a path of fastship.yaml absolute; an empty one stays.
func (o Options) inProject(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(o.Dir, path)
}

// lookup finds a variable among KEY=value pairs; the last one of a name wins.
func lookup(environ []string) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		for _, pair := range slices.Backward(environ) {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// foreseen hands libraries from stage to stage: these do not know one another.
func foreseen(libraries []maven.Foreseen) []image.Foreseen {
	list := make([]image.Foreseen, len(libraries))
	for i, l := range libraries {
		list[i] = image.Foreseen(l)
	}
	return list
}

// mavenStep tells tell of the application's libraries while Maven runs; nil is
// told nothing.
func mavenStep(opt Options, memory *memory, tell func([]maven.Foreseen)) *maven.Step {
	config := opt.Spec.Maven
	config.Dir, config.Main = opt.Dir, opt.Spec.Image.Main
	return maven.New(config, maven.Deps{
		Cache: &memory.Cache, Mavens: &memory.pinned, Local: &memory.local, Repositories: &memory.repositories, CI: opt.CI,
		Environ: opt.Environ, Home: opt.Home, Secret: opt.Secret, State: opt.stateDir(), Explain: opt.Explain, Foreseen: tell,
	})
}

// imageStep asks the Maven job for the JDK that it will choose, so that a JDK
// that cannot link is found before anything is built.
func imageStep(opt Options, memory *cache.Cache, job *maven.Step, service destination, coming coming) *image.Step {
	config := opt.Spec.Image.Image()
	config.Outputs.Archive = opt.inProject(config.Outputs.Archive)
	config.Outputs.Copy, config.Outputs.Whole = opt.CopyLayout, opt.Whole
	config.Layout, config.Dir = filepath.Join(opt.stateDir(), "image"), opt.Dir
	config.Pushed = config.Pushed && !opt.Sandbox
	deps := image.Deps{Cache: memory, State: opt.stateDir(), Getenv: lookup(opt.Environ), Keychain: push.Keychain(opt.pushDeps()), Coming: coming, JDK: func(ctx context.Context) (string, error) {
		if opt.Jar != nil {
			return opt.Jar.JavaHome, nil
		}
		home, err := job.JDK(ctx)
		if err != nil {
			return "", nil // the job's own check says it
		}
		return home, nil
	}}
	if service != nil {
		deps.Platform = func(ctx context.Context) (string, error) { return platformOf(ctx, service) }
		deps.Zstd = func(ctx context.Context) bool { return zstdReaders(ctx, service) }
	}
	return image.New(config, deps)
}

func mavenIn(s source.Out) maven.In {
	in := maven.In{Dir: s.Dir, Tree: s.Tree, Read: s.Read, Commit: s.Commit, Branch: s.Branch, DefaultBranch: s.DefaultBranch, Dirty: s.Dirty}
	for _, f := range s.Files {
		in.Files = append(in.Files, maven.File(f))
	}
	return in
}

func imageIn(opt Options, s source.Out, m maven.Out) image.In {
	in := image.In{
		Jar: m.Jar, Name: m.ArtifactID, Version: m.Version,
		JavaHome: m.JavaHome, JavaMajor: m.JavaMajor,
		Group: m.GroupID, Build: imageBuild(opt, m), Dirty: s.Dirty,
		Revision: s.Commit, Source: publicURL(s.Remote), Created: s.Time,
	}
	if m.Repository != "" {
		in.Repositories = []string{m.Repository}
	}
	for _, l := range m.Libraries {
		in.Libraries = append(in.Libraries, image.Library(l))
		if strings.HasSuffix(l.Version, "-SNAPSHOT") {
			in.Snapshots = append(in.Snapshots, l.File)
		}
		if slices.Contains(m.ReactorIDs, l.Group+":"+l.Name) {
			// Packagers name a module's jar by its coordinates, whatever its
			// finalName is.
			in.Modules = append(in.Modules, l.File, l.Name+"-"+l.Version+".jar")
		}
	}
	return in
}

// imageBuild is what the provenance tells of the build.
func imageBuild(opt Options, m maven.Out) image.Build {
	c := opt.Spec.Maven
	return image.Build{Maven: m.Maven, Goals: c.Goals, Profiles: c.Profiles, Module: c.Module, Host: opt.CI.Provider, Run: publicURL(opt.CI.URL)}
}

func pushIn(s source.Out, i image.Out) push.In {
	return push.In{Layout: i.Layout, Digest: i.Digest, Base: i.From, Commit: s.Commit, Dirty: s.Dirty}
}

func rolloutIn(p push.Out, i image.Out) rollout.In {
	sizes := map[string]int64{i.Platform: i.Size}
	for _, each := range i.Images {
		sizes[each.Platform] = each.Size
	}
	return rollout.In{Image: p.Reference, Bytes: sizes}
}
