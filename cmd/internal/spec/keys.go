package spec

import (
	"github.com/fastship/fastship/stages/image"
	"github.com/fastship/fastship/stages/image/extra"
)

// key is what is to be said and checked of a key beyond its Go type.
type key struct {
	path    string
	doc     string             // one sentence, for help and schema
	initial string             // what holds when it is left out, for people
	check   func(string) error // of a text that is not empty, or of each item of a list or mapping
	name    func(string) error // of each name in a mapping of the user's own names
	plain   bool               // numbers and booleans are text too, as they are written: 8080, 1.10, true
	example string             // a value that passes, where "x" would not
}

// keys is the one table of fastship.yaml's keys: a test holds it against the
// Configs, in their order.
var keys = []key{
	{path: "version", doc: "The version of this file's form.", initial: "1", example: "1"},

	{path: "maven", doc: "The Maven job."},
	{path: "maven.goals", doc: "Phases and goals to run.", initial: "package", check: goal},
	{path: "maven.module", doc: "The module whose jar is the application, where several have one: a folder, an artifactId or group:artifactId."},
	{path: "maven.profiles", doc: "Profiles to activate; !name deactivates one.", check: profile},
	{path: "maven.args", doc: "More arguments for Maven, passed on as they are."},
	{path: "maven.inputs", doc: "What the job reads, as patterns of .gitignore; !pattern takes back. A change of other files does not run Maven.", initial: "all but documentation", example: "src/"},
	{path: "maven.environment", doc: "Environment variables that the job reads, by name. Those that a pom names are known.", example: "BUILD_NUMBER"},
	{path: "maven.settings", doc: "A settings.xml, relative to the project's folder; env:NAME takes its text from a variable.", initial: "Maven's own"},
	{path: "maven.repository", doc: "Maven's local repository: leased (fastship's own, restored from the cache), user (~/.m2/repository), or a folder.", initial: "auto: leased in CI and with a shared cache, else user"},
	{path: "maven.tune", doc: "Tune Maven's JVMs and its tests': auto (what was faster for this job), on or off.", initial: "auto", check: tune, example: "off"},
	{path: "maven.version", doc: "Maven's version, such as 3.9.11: taken from the wrapper or PATH when it is that one, else downloaded and kept in the cache.", initial: "auto"},

	{path: "cache", doc: "What builds remember between runs."},
	{path: "cache.store", doc: "Where it is kept for all hosts: s3://bucket/prefix?region=…; or dir, on this machine alone.", initial: "dir", check: CheckStore, example: "s3://builds/fastship"},
	{path: "cache.scope", doc: "Who is trusted to share this build's cache: trusted, or a name of your choice for a cache apart from it.", initial: "one of its own for each pull request, else trusted", check: scope},

	{path: "image", doc: "What the image is made of and where it goes."},
	{path: "image.base", doc: "jlink, a Java runtime linked from the JDK that built the jar, or the reference of an image that has Java, or oci:DIR, relative to the project's folder.", initial: "jlink", check: base, example: "example.com/java:21"},
	{path: "image.modules", doc: "Java modules that no class names, for reflection, added to the jlink base.", check: javaModule},
	{path: "image.jvm", doc: "JVM flags in the image's entrypoint.", check: jvmFlag, example: "-Xmx256m"},
	{path: "image.jars", doc: "How libraries lie in the image: stored (their entries uncompressed, which makes layers smaller and starts faster) or verbatim (byte for byte).", initial: "stored", check: jars, example: "verbatim"},
	{path: "image.compression", doc: "How layers are compressed: gzip, which every reader takes, zstd (smaller, unpacked ten times as fast; Docker before 23 cannot read it), or auto.", initial: "auto: zstd for an image that stays on this machine or whose services all run on Fargate 1.4.0 or later, else gzip", check: compression, example: "zstd"},
	{path: "image.platforms", doc: "What the image is for: linux/amd64, linux/arm64. Several give an index.", initial: "what the service's task definition runs on, else this machine's", check: fromStage(image.CheckPlatform), example: "linux/arm64"},
	{path: "image.jdks", doc: "Folders of JDKs by platform, relative to the project's, for the jlink base of platforms that the JDK at hand is not made for.", name: fromStage(image.CheckPlatform), example: "linux/arm64: /opt/jdk-21-arm64"},
	{path: "image.certificates", doc: "PEM files of certification authorities that the jlink base trusts besides the JDK's own.", example: "ca.pem"},
	{path: "image.debug", doc: "Add a shell with its usual tools, jcmd and jfr to the jlink base.", initial: "false", example: "true"},
	{path: "image.train", doc: "Which classes are archived for a faster start: auto (those of released libraries), full (the application's too, which takes a training at each change) or never.", initial: "auto", check: train, example: "full"},
	{path: "image.main", doc: "The class to start.", initial: "the jar's Main-Class", check: fromStage(image.CheckClass)},
	{path: "image.entrypoint", doc: "The entrypoint's words, instead of java and its flags.", example: "/app/start"},
	{path: "image.args", doc: "The application's arguments; a task definition's command replaces them.", plain: true},
	{path: "image.env", doc: "Environment variables that the image sets.", name: fromStage(image.CheckVariable), plain: true},
	{path: "image.labels", doc: "Labels of the image; those of org.opencontainers.image are annotations too.", name: fromStage(image.CheckLabel), plain: true},
	{path: "image.ports", doc: "Ports that the application listens on: 8080, 53/udp, 9000-9010.", check: fromStage(image.CheckPorts), plain: true, example: "8080"},
	{path: "image.user", doc: "The user who runs the application: a name or number, and :group.", initial: "65532:65532; another base's own unless that is root", check: fromStage(image.CheckUser), plain: true, example: "1000:1000"},
	{path: "image.workdir", doc: "The folder in which the application starts.", initial: "/app", check: fromStage(image.CheckFolder), example: "/srv"},
	{path: "image.volumes", doc: "Folders that are volumes.", check: fromStage(image.CheckFolder), example: "/data"},
	{path: "image.healthCheck", doc: "How a Docker engine tells that the container is well; ECS and Kubernetes do not read it."},
	{path: "image.healthCheck.command", doc: "The command's words; there is no shell.", plain: true},
	{path: "image.healthCheck.interval", doc: "From one check to the next.", initial: "30s", example: "10s"},
	{path: "image.healthCheck.timeout", doc: "How long a check may take.", initial: "30s", example: "3s"},
	{path: "image.healthCheck.startPeriod", doc: "How long after the start a failure does not count.", initial: "0s", example: "20s"},
	{path: "image.healthCheck.retries", doc: "Failures in a row that make it unhealthy.", initial: "3", example: "5"},
	{path: "image.created", doc: "The image's time: commit, epoch, or a time such as 2026-01-31T12:00:00Z.", initial: "commit; epoch outside git", check: fromStage(image.CheckCreated), example: "epoch"},
	{path: "image.files", doc: "Files of the project that go into the image, in a layer of their own; of two for one path the later counts."},
	{path: "image.files.from", doc: "A folder or file, relative to the project's folder.", check: fromStage(extra.CheckFrom)},
	{path: "image.files.into", doc: "The folder of the image, or a file's own path there.", initial: "/", check: fromStage(extra.CheckInto), example: "/etc/orders"},
	{path: "image.files.include", doc: "Patterns of what is taken, relative to from; ** stands for folders, and a folder for all in it.", initial: "all", check: fromStage(extra.CheckPattern), example: `"**/*.sh"`},
	{path: "image.files.exclude", doc: "Patterns of what is left out.", check: fromStage(extra.CheckPattern), example: `"**/*.md"`},
	{path: "image.files.mode", doc: "The files' mode, octal.", initial: "0755 for what its owner may execute, else 0644", check: fromStage(extra.CheckMode), plain: true, example: "0640"},
	{path: "image.files.dirMode", doc: "The folders' mode, octal.", initial: "0755", check: fromStage(extra.CheckMode), plain: true, example: "0750"},
	{path: "image.files.owner", doc: "UID:GID, or a UID that is the group's number too.", initial: "0:0", check: fromStage(extra.CheckOwner), plain: true, example: "1000:1000"},
	{path: "image.files.time", doc: "The files' time: 2026-01-31T12:00:00Z, or a date.", initial: "1970-01-01T00:00:01Z", check: fromStage(extra.CheckTime), example: "2026-01-31"},
	{path: "image.sbom", doc: "Write a bill of materials (CycloneDX) and attach it to the pushed image.", initial: "true", example: "false"},
	{path: "image.provenance", doc: "Write where the image comes from (SLSA) and attach it to the pushed image.", initial: "true", example: "false"},
	{path: "image.outputs", doc: "Places for the image, or its name, beside .fastship/image and the registry; paths are relative to the project's folder."},
	{path: "image.outputs.archive", doc: "A docker-archive, the tar that docker load reads.", example: "target/orders.tar"},
	{path: "image.outputs.engine", doc: "A name and tag under which the local Docker engine gets the image.", check: fromStage(image.CheckEngineName), example: "orders:dev"},
	{path: "image.outputs.imageDefinitions", doc: "imagedefinitions.json for CodePipeline's ECS action: the container of deploy.container, or of the service's task definition.", example: "target/imagedefinitions.json"},
	{path: "image.outputs.imageDetail", doc: "imageDetail.json for CodePipeline's CodeDeployToECS action.", example: "target/imageDetail.json"},
	{path: "image.repository", doc: "Where the image is pushed: host/name, without a tag. Without it nothing is pushed.", check: repository, example: "example.com/acme/orders"},
	{path: "image.tags", doc: "Tags to give the image.", initial: "the commit's first 12 digits; the image's own on a dirty tree or outside git", check: tag},
	{path: "image.insecure", doc: "Allow plain http to a registry that is not on this machine.", initial: "false", example: "true"},
	{path: "image.create", doc: "Make the repository in ECR when it does not exist; the account's settings decide on immutability, scanning and encryption.", initial: "false", example: "true"},
	{path: "image.login", doc: "ECR's token: kept (in the user's cache folder, for as long as it lives) or fresh (another one in each run).", initial: "kept", check: login, example: "fresh"},
	{path: "image.scan", doc: "A gate between the push and the tags: ECR's scan of the image."},
	{path: "image.scan.fail", doc: "The least severity that stops the run: critical, high, medium, low or informational.", initial: "no gate", check: severity, example: "high"},
	{path: "image.scan.wait", doc: "How long the scan may take.", initial: "5m", example: "10m"},
	{path: "image.scan.unsupported", doc: "What becomes of an image that ECR cannot scan: fail or pass.", initial: "fail", check: unsupported, example: "pass"},
	{path: "image.sign", doc: "Sign the image, and what is attached to it, before it gets its tags; cosign can verify it."},
	{path: "image.sign.key", doc: "The key: a file of cosign's (its password in COSIGN_PASSWORD) or in PKCS #8, env://NAME with its text, or awskms:///KEY.", example: "cosign.key"},

	{path: "deploy", doc: "The ECS service that runs the image."},
	{path: "deploy.cluster", doc: "The cluster's name or ARN.", initial: "ECS's default cluster", check: ecsName},
	{path: "deploy.service", doc: "The service's name or ARN. Without it nothing is deployed.", check: ecsName},
	{path: "deploy.services", doc: "Several services that run the same image, instead of deploy.service; they are rolled out side by side, and back together."},
	{path: "deploy.services.service", doc: "The service's name or ARN.", check: ecsName},
	{path: "deploy.services.container", doc: "Its container whose image is replaced.", initial: "deploy.container", check: ecsName},
	{path: "deploy.services.taskDefinition", doc: "Its task definition's file.", initial: "deploy.taskDefinition", example: "worker.json"},
	{path: "deploy.container", doc: "The container whose image is replaced.", initial: "the only one, or the only essential one, of the task definition", check: ecsName},
	{path: "deploy.timeout", doc: "How long a rollout may take.", initial: "15m, and the bake times of the service's strategy", example: "20m"},
	{path: "deploy.rollback", doc: "What to do about a rollout that cannot become well: auto (go back to the last steady revision), ask or never.", initial: "auto, unless the service's own breaker has its rollback off", check: rollback, example: "never"},
	{path: "deploy.taskDefinition", doc: "A file (JSON or YAML, relative to this one) that is the task definition; the image is put into it.", initial: "what the service runs, with the image replaced", example: "taskdef.json"},
	{path: "deploy.before", doc: "A command (its words) that runs once with the new image, in a task of its own, before the service is touched.", example: "/opt/java/bin/java"},
	{path: "deploy.after", doc: "A command that runs once after the rollout has succeeded.", example: "/opt/java/bin/java"},
	{path: "deploy.codedeploy", doc: "The application and deployment group, APPLICATION/GROUP, of a service with the deployment controller CODE_DEPLOY.", initial: "those of the service's last deployment, else the names that the ECS console gives", check: codeDeploy, example: "shop/web"},
	{path: "deploy.schedules", doc: "Rules of EventBridge and schedules of EventBridge Scheduler (names or ARNs) whose tasks move to the new image after the rollout."},
	{path: "deploy.waitFor", doc: "How far the rollout is followed: deployed (every new task has started), healthy (and passes its checks) or steady (and the old ones are gone).", initial: "steady", check: waitFor, example: "healthy"},
	{path: "deploy.region", doc: "The AWS region.", initial: "what the AWS SDK finds in environment and profile", check: region, example: "eu-central-1"},
	{path: "deploy.role", doc: "The ARN of a role to assume for the deployment, and for pushing to a registry of that role's account.", initial: "none: the credentials at hand", check: role, example: "arn:aws:iam::123456789012:role/deploy"},
	{path: "deploy.externalId", doc: "The external id that the role's trust policy asks for.", example: "acme"},

	{path: "envs", doc: "Environments by name: each lays its deploy section and those keys of image that say where it goes over those of the file; fastship run --env NAME."},
}

// keyOf is the row of a key; those in an environment are those outside.
func keyOf(path string) key {
	path = withoutEnv(path)
	for _, k := range keys {
		if k.path == path {
			return k
		}
	}
	return key{}
}

// Key describes one key of fastship.yaml for help.
type Key struct {
	Path    string // section.key
	Type    string // text, number, boolean, duration, section, list of text
	Default string // what holds without it, in words; empty for nothing
	Doc     string
}

// Keys lists every key, sections before their keys.
func Keys() []Key {
	var list []Key
	for _, f := range allFields() {
		k := keyOf(f.path)
		list = append(list, Key{f.path, typeName(f.typ), k.initial, k.doc})
	}
	return list
}
