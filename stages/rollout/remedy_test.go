package rollout

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestModuleHint(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`Exception in thread "main" java.lang.NoClassDefFoundError: javax/sql/rowset/RowSetProvider`, "add java.sql.rowset to image.modules: javax.sql.rowset.RowSetProvider is in it"},
		{`Caused by: java.lang.ClassNotFoundException: javax.sql.DataSource`, "add java.sql to image.modules: javax.sql.DataSource is in it"},
		{`java.lang.ClassNotFoundException: com.sun.net.httpserver.HttpServer`, "add jdk.httpserver to image.modules"},
		{`java.lang.NoClassDefFoundError: sun/misc/Unsafe`, "add jdk.unsupported"},
		{`java.lang.NoClassDefFoundError: org/w3c/dom/css/CSSRule`, "add jdk.xml.dom"},
		{`java.lang.NoClassDefFoundError: java/awt/Font$1`, "add java.desktop"},
		{`java.lang.NoClassDefFoundError: java/tomorrow/Thing`, "add the module that holds java.tomorrow.Thing to image.modules"},
		{`java.lang.module.FindException: Module java.sql not found, required by app`, "add java.sql to image.modules"},
		{`java.lang.NoClassDefFoundError: javax/servlet/Filter`, ""}, // a library's
		{`java.lang.NoClassDefFoundError: com/example/Missing`, ""},
		{`all is well`, ""},
	} {
		if got := ModuleHint([]string{"first", c.line, "last"}); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
}

func TestRemedy(t *testing.T) {
	for _, c := range []struct {
		cause string
		logs  []string
		want  string
	}{
		{"container app exited with code 1", []string{"java.lang.NoClassDefFoundError: java/sql/Driver"}, "image.modules"},
		{"the image cannot be pulled: CannotPullContainerError: failed to resolve ref x: not found", nil, "image.repository"},
		{"the image cannot be pulled: CannotPullContainerError: 403 Forbidden", nil, "execution role"},
		{"the image cannot be pulled: CannotPullContainerError: dial tcp: i/o timeout", nil, "NAT"},
		{"the image is for another platform: exec format error", nil, "runtimePlatform"},
		{"ResourceInitializationError: unable to pull secrets", nil, "secret"},
		{"container app ran out of memory (OutOfMemoryError)", nil, "memory"},
		{"container app exited with code 1", []string{"java.lang.UnsupportedClassVersionError: App has been compiled by a more recent version"}, "image.base"},
		{"the task is unhealthy: Task failed ELB health checks", nil, "start period"},
		{"container app exited with code 1", []string{"boom"}, ""},
		{"ResourceInitializationError: unable to retrieve secret from asm: AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/ecsTaskExecutionRole/abc is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf because no identity-based policy allows it",
			nil, "allow secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf to role ecsTaskExecutionRole"},
		{"CannotPullECRContainerError: AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/exec/abc is not authorized to perform: ecr:GetAuthorizationToken on resource: *", nil, "allow ecr:GetAuthorizationToken to role exec"},
		{"ResourceInitializationError: unable to retrieve secret from asm: failed to fetch secret arn:aws:secretsmanager:eu-west-1:111122223333:secret:db from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
			nil, "create arn:aws:secretsmanager:eu-west-1:111122223333:secret:db, or correct it in the task definition's secrets"},
		{"ResourceInitializationError: unable to pull secrets: invalid ssm parameters: /prod/db", nil, "create /prod/db"},
		{"ResourceInitializationError: failed to validate logger args: ResourceNotFoundException: The specified log group does not exist.", nil, "awslogs-create-group"},
	} {
		if got := Remedy(c.cause, c.logs); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.cause, got, c.want)
		}
	}
}

// TestModulesAreTheJDKs asks the JDKs at hand whether the table is right: no
// class of theirs lies in another module than it says.
func TestModulesAreTheJDKs(t *testing.T) {
	tools, _ := filepath.Glob("/usr/lib/jvm/java-*/bin/jimage")
	more, _ := filepath.Glob("/usr/lib/jvm/temurin-*/bin/jimage")
	if tools = append(tools, more...); len(tools) == 0 {
		t.Skip("no JDK in /usr/lib/jvm")
	}
	seen, done := map[string]bool{}, map[string]bool{}
	for _, jimage := range tools {
		home, err := filepath.EvalSymlinks(filepath.Dir(filepath.Dir(jimage)))
		if err != nil {
			t.Fatal(err)
		}
		if done[home] {
			continue
		}
		done[home] = true
		for class, module := range jdkClasses(t, home) {
			pkg := class[:strings.LastIndexByte(class, '.')]
			for ; pkg != ""; pkg = pkg[:max(strings.LastIndexByte(pkg, '.'), 0)] {
				seen[pkg] = true
			}
			// What is in java.base is in every image, and never missing.
			if named := moduleOf(class); named != "" && named != module && module != "java.base" {
				t.Errorf("%s: %s is in %s, not in %s", home, class, module, named)
			}
		}
	}
	for pkg := range modules {
		if !seen[pkg] {
			t.Errorf("no JDK of %v has a class in or below %s", done, pkg)
		}
	}
}

// jdkClasses maps one class of each package of a JDK to its module.
func jdkClasses(t *testing.T, home string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(home, "bin/jimage"), "list", filepath.Join(home, "lib/modules")).Output()
	if err != nil {
		t.Fatal(err)
	}
	found, packages, module := map[string]string{}, map[string]bool{}, ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "Module: "); ok {
			module = name
			continue
		}
		class, ok := strings.CutSuffix(strings.ReplaceAll(line, "/", "."), ".class")
		dot := strings.LastIndexByte(class, '.')
		if !ok || dot < 0 || packages[module+class[:dot]] {
			continue
		}
		packages[module+class[:dot]] = true
		found[class] = module
	}
	return found
}
