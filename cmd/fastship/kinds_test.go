package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realKind is a project that its framework's own plug-in packs.
type realKind struct {
	name   string
	pom    string
	source map[string]string // by path
	kind   string            // what fastship takes it for
}

const bootSource = `package demo;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.*;
@SpringBootApplication @RestController
public class App {
  public static void main(String[] args) { SpringApplication.run(App.class, args); }
  @GetMapping("/") public String hello() { return "hello"; }
}
`

func bootKind(name, version, packaging, configuration string) realKind {
	server := ""
	if packaging == "war" {
		server = "<dependency><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-tomcat</artifactId><scope>provided</scope></dependency>"
	}
	java := "17"
	if version < "3" {
		java = "8"
	}
	return realKind{
		name: name, kind: "spring-boot",
		pom: fmt.Sprintf(`<parent><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-parent</artifactId><version>%s</version><relativePath/></parent>
<groupId>demo</groupId><artifactId>demo</artifactId><version>1.0</version><packaging>%s</packaging><properties><java.version>%s</java.version></properties>
<dependencies><dependency><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-web</artifactId></dependency>%s</dependencies>
<build><plugins><plugin><groupId>org.springframework.boot</groupId><artifactId>spring-boot-maven-plugin</artifactId><configuration>%s</configuration></plugin></plugins></build>`, version, packaging, java, server, configuration),
		source: map[string]string{"src/main/java/demo/App.java": bootSource, "src/main/webapp/index.html": "<p>page"},
	}
}

func quarkusKind(name, kind, packageType string) realKind {
	return realKind{
		name: name, kind: kind,
		pom: fmt.Sprintf(`<groupId>demo</groupId><artifactId>demo</artifactId><version>1.0</version>
<properties><maven.compiler.release>17</maven.compiler.release><project.build.sourceEncoding>UTF-8</project.build.sourceEncoding><quarkus.package.jar.type>%s</quarkus.package.jar.type></properties>
<dependencyManagement><dependencies><dependency><groupId>io.quarkus.platform</groupId><artifactId>quarkus-bom</artifactId><version>3.20.0</version><type>pom</type><scope>import</scope></dependency></dependencies></dependencyManagement>
<dependencies><dependency><groupId>io.quarkus</groupId><artifactId>quarkus-rest</artifactId></dependency></dependencies>
<build><plugins><plugin><artifactId>maven-compiler-plugin</artifactId><version>3.13.0</version></plugin>
<plugin><groupId>io.quarkus.platform</groupId><artifactId>quarkus-maven-plugin</artifactId><version>3.20.0</version><extensions>true</extensions><executions><execution><goals><goal>build</goal></goals></execution></executions></plugin></plugins></build>`, packageType),
		source: map[string]string{"src/main/java/demo/Hello.java": `package demo;
import jakarta.ws.rs.*;
@Path("/") public class Hello { @GET public String hello() { return "hello"; } }
`},
	}
}

func micronautKind() realKind {
	return realKind{
		name: "micronaut", kind: "shaded",
		pom: `<parent><groupId>io.micronaut.platform</groupId><artifactId>micronaut-parent</artifactId><version>4.7.6</version></parent>
<groupId>demo</groupId><artifactId>demo</artifactId><version>1.0</version><packaging>jar</packaging>
<properties><jdk.version>17</jdk.version><release.version>17</release.version><exec.mainClass>demo.App</exec.mainClass></properties>
<dependencies><dependency><groupId>io.micronaut</groupId><artifactId>micronaut-http-server-netty</artifactId></dependency><dependency><groupId>io.micronaut</groupId><artifactId>micronaut-jackson-databind</artifactId></dependency></dependencies>
<build><plugins><plugin><groupId>io.micronaut.maven</groupId><artifactId>micronaut-maven-plugin</artifactId></plugin>
<plugin><groupId>org.apache.maven.plugins</groupId><artifactId>maven-compiler-plugin</artifactId><configuration><annotationProcessorPaths combine.children="append"><path><groupId>io.micronaut</groupId><artifactId>micronaut-inject-java</artifactId><version>${micronaut.core.version}</version></path></annotationProcessorPaths></configuration></plugin></plugins></build>`,
		source: map[string]string{"src/main/java/demo/App.java": `package demo;
import io.micronaut.http.annotation.*;
import io.micronaut.runtime.Micronaut;
@Controller public class App {
  @Get("/") public String hello() { return "hello"; }
  public static void main(String[] args) { Micronaut.run(App.class, args); }
}
`},
	}
}

// thinKind has its libraries in target/lib and settings in target/conf, by
// maven-dependency-plugin and maven-resources-plugin.
func thinKind() realKind {
	return realKind{
		name: "thin", kind: "thin",
		pom: `<groupId>demo</groupId><artifactId>demo</artifactId><version>1.0</version>
<properties><maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target><project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
<dependencies><dependency><groupId>com.google.code.gson</groupId><artifactId>gson</artifactId><version>2.13.1</version></dependency></dependencies>
<build><plugins>
<plugin><artifactId>maven-compiler-plugin</artifactId><version>3.13.0</version></plugin>
<plugin><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version><executions><execution><phase>package</phase><goals><goal>copy-dependencies</goal></goals><configuration><outputDirectory>${project.build.directory}/lib</outputDirectory></configuration></execution></executions></plugin>
<plugin><artifactId>maven-jar-plugin</artifactId><version>3.4.2</version><configuration><archive><manifest><addClasspath>true</addClasspath><classpathPrefix>lib/</classpathPrefix><mainClass>demo.App</mainClass></manifest></archive></configuration></plugin>
</plugins></build>`,
		source: map[string]string{"src/main/java/demo/App.java": `package demo;
public class App {
  public static void main(String[] args) throws Exception {
    byte[] answer = new com.google.gson.Gson().toJson("hello").getBytes();
    var server = com.sun.net.httpserver.HttpServer.create(new java.net.InetSocketAddress(8080), 0);
    server.createContext("/", x -> { x.sendResponseHeaders(200, answer.length); x.getResponseBody().write(answer); x.close(); });
    server.start();
  }
}
`},
	}
}

// TestRealKinds builds a project of each kind by its framework's own plug-in,
// on the whole road into the sandbox, twice: what Maven made comes out of the
// cache the second time. It downloads hundreds of megabytes, so
// FASTSHIP_REAL_KINDS asks for it: all, or the names of some.
func TestRealKinds(t *testing.T) {
	wanted := os.Getenv("FASTSHIP_REAL_KINDS")
	if wanted == "" {
		t.Skip("builds by many plug-ins; FASTSHIP_REAL_KINDS=all asks for it")
	}
	need(t, "mvn")
	for _, k := range []realKind{
		bootKind("boot-2.3.jar", "2.3.12.RELEASE", "jar", ""),
		bootKind("boot-2.7.jar", "2.7.18", "jar", "<executable>true</executable>"),
		bootKind("boot-3.1.jar", "3.1.12", "jar", "<classifier>exec</classifier>"),
		bootKind("boot-3.2.jar", "3.2.12", "jar", "<layers><enabled>false</enabled></layers>"),
		bootKind("boot-3.5.jar", "3.5.7", "jar", ""),
		bootKind("boot-4.0.jar", "4.0.0", "jar", ""),
		bootKind("boot-2.3.war", "2.3.12.RELEASE", "war", ""),
		bootKind("boot-2.7.war", "2.7.18", "war", ""),
		bootKind("boot-3.5.war", "3.5.7", "war", ""),
		bootKind("boot-4.0.war", "4.0.0", "war", ""),
		quarkusKind("quarkus-fast", "quarkus", "fast-jar"),
		quarkusKind("quarkus-uber", "shaded", "uber-jar"),
		quarkusKind("quarkus-legacy", "thin", "legacy-jar"),
		micronautKind(), thinKind(),
	} {
		if wanted != "all" && !strings.Contains(","+wanted+",", ","+k.name+",") {
			continue
		}
		t.Run(k.name, func(t *testing.T) { k.answers(t) })
	}
}

func (k realKind) answers(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"pom.xml": `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>` + k.pom + "</project>"}
	for name, text := range k.source {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if stdout, stderr := run(t, 0, dir, "run", "--sandbox"); !strings.Contains(stdout, "HTTP 200") || !strings.Contains(stderr, k.kind+" image on ") {
		t.Fatalf("%s\n%s", stdout, stderr)
	}
	if err := os.RemoveAll(filepath.Join(dir, "target")); err != nil {
		t.Fatal(err)
	}
	_, stderr := run(t, 0, dir, "run", "--until", "image")
	if !strings.Contains(stderr, "nothing that Maven reads has changed") || !strings.Contains(stderr, "0 of them new") {
		t.Errorf("again:\n%s", stderr)
	}
}
