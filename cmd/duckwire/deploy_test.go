package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/doctor"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/httpserver"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/testnet"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// repository is the top folder of the repository.
const repository = "../.."

func readDeploy(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// program returns the path of a program that a test needs. Without the program it skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: %s is not installed (.ci/need does)", name)
	}
	return path
}

// instructions returns a Dockerfile's instructions, each on one line, without comments.
func instructions(text string) []string {
	text = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "\\\n", "")
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// TestDockerfile compares the Dockerfile with the repository: the paths that it copies, which .dockerignore must let
// through, the packages that are built, and the commands of the program.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	list := instructions(readDeploy(t, repository+"/Dockerfile"))
	let := strings.Split(readDeploy(t, repository+"/.dockerignore"), "\n")
	var copied []string
	for _, line := range list {
		words := strings.Fields(line)
		switch words[0] {
		case "COPY":
			if strings.Contains(line, "--from=") {
				continue
			}
			for _, path := range words[1 : len(words)-1] {
				copied = append(copied, path)
				if _, err := os.Stat(filepath.Join(repository, path)); err != nil {
					t.Errorf("%s: %v", line, err)
				}
				if !slices.Contains(let, "!"+path) {
					t.Errorf("%s: .dockerignore keeps %s out", line, path)
				}
			}
		case "ENTRYPOINT", "CMD", "HEALTHCHECK":
			args := regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(line[strings.Index(line, "["):], -1)
			var command []string
			for _, arg := range args {
				if arg[1] != "/duckwire" {
					command = append(command, arg[1])
				}
			}
			if len(command) > 0 {
				knowsCommand(t, command...)
			}
		}
	}
	const folderOfOurs = `{{if not .Standard}}{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}{{end}}`
	imports, err := exec.Command("go", "list", "-deps", "-f", folderOfOurs, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range strings.Fields(string(imports)) {
		rel, _ := filepath.Rel(top, dir)
		if folder, _, _ := strings.Cut(filepath.ToSlash(rel), "/"); !slices.Contains(copied, folder) {
			t.Errorf("%s is not copied, and the program needs it", rel)
		}
	}
	if !slices.Contains(list, "USER 65532:65532") || !slices.Contains(list, "FROM scratch") {
		t.Error("the last stage is not an empty one with a user of its own")
	}
}

// knowsCommand fails the test unless the program has a command, and its flags.
func knowsCommand(t *testing.T, args ...string) {
	t.Helper()
	root := newRoot()
	cmd, rest, err := root.Find(args)
	if err != nil || cmd == root {
		t.Errorf("%v is no command: %v", args, err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%v: %v", args, err)
	}
}

// TestStaticBuild runs the build command of the Dockerfile: the program must be static, and run.
func TestStaticBuild(t *testing.T) {
	hubtest.Full(t, "a static build")
	t.Parallel()
	build := ""
	for _, line := range instructions(readDeploy(t, repository+"/Dockerfile")) {
		if strings.Contains(line, " go build ") {
			build = strings.TrimPrefix(line, "RUN ")
		}
	}
	bin := filepath.Join(t.TempDir(), "duckwire")
	if !strings.Contains(build, "/out/duckwire") {
		t.Fatalf("no build command: %q", build)
	}
	cmd := exec.Command(program(t, "sh"), "-c", strings.Replace(build, "/out/duckwire", bin, 1))
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "VERSION=v0.0.0-test", "GOFLAGS=")
	// The linker warns of libraries that a static program would look for at run time.
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	out, _ := exec.Command(program(t, "ldd"), bin).CombinedOutput()
	if !bytes.Contains(out, []byte("not a dynamic executable")) && !bytes.Contains(out, []byte("statically linked")) {
		t.Errorf("ldd: %s", out)
	}
	version, err := exec.Command(bin, "version").CombinedOutput()
	if err != nil || !bytes.Contains(version, []byte("v0.0.0-test")) {
		t.Errorf("%v: %s", err, version)
	}
}

// TestUnit has systemd check the unit, with this program in place of the installed one, and rate its exposure.
func TestUnit(t *testing.T) {
	hubtest.Full(t, "systemd")
	t.Parallel()
	analyze := program(t, "systemd-analyze")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := readDeploy(t, "deploy/duckwire.service")
	command := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/duckwire (.*)$`).FindStringSubmatch(unit)
	if command == nil {
		t.Fatal("it starts something else")
	}
	knowsCommand(t, strings.Fields(command[1])...)
	path := filepath.Join(t.TempDir(), "duckwire.service")
	unit = strings.Replace(unit, "/usr/local/bin/duckwire serve", exe+" serve", 1)
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("duckwire.service")) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	// 0.0 is a unit that can do nothing, 10 one that can do everything. Most services of a distribution have over 9.
	rating := exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold=20", path)
	if out, err := rating.CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
	drain, err := time.ParseDuration(config.SettingsOf(&config.Config{}).ByKey("drain_timeout").Default)
	if err != nil {
		t.Fatal(err)
	}
	stop, err := time.ParseDuration(regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindStringSubmatch(unit)[1])
	if err != nil || stop <= drain {
		t.Errorf("a stop is given %s, and draining may take %s (%v)", stop, drain, err)
	}
}

// TestEnvironmentFile reads the example as systemd does, including the lines that are commented out: each name must be
// a setting, and without a secret the server must not start.
func TestEnvironmentFile(t *testing.T) {
	t.Parallel()
	set := config.SettingsOf(&config.Config{})
	var environ []string
	for line := range strings.Lines(readDeploy(t, "deploy/duckwire.env")) {
		line = strings.TrimSpace(line)
		name, value, is := strings.Cut(strings.TrimPrefix(line, "#"), "=")
		if !is || !strings.HasPrefix(name, config.EnvPrefix) {
			continue
		}
		s := set.ByEnv(name)
		if s == nil {
			t.Errorf("%s is no setting", name)
			continue
		}
		if s.Secret && value != "" {
			t.Errorf("%s has a value", name)
		}
		if !strings.HasPrefix(line, "#") {
			environ = append(environ, line)
		}
	}
	cfg, err := config.Load(config.Sources{File: filepath.Join(t.TempDir(), "none"), Environ: environ})
	if err == nil || cfg.Addr != "127.0.0.1:4000" {
		t.Errorf("%v, %v", cfg.Addr, err)
	}
	if config.CheckServe(&cfg.Config) == nil {
		t.Error("the example starts a server")
	}
}

// TestCompose checks that what the compose file names exists.
func TestCompose(t *testing.T) {
	t.Parallel()
	var file struct {
		Services map[string]struct {
			Build struct {
				Context string
			}
			EnvFile     string `yaml:"env_file"`
			Environment map[string]string
			Volumes     []string
			StopGrace   string `yaml:"stop_grace_period"`
			Profiles    []string
			ReadOnly    bool `yaml:"read_only"`
		}
	}
	text := readDeploy(t, "deploy/compose.yaml")
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	ours := file.Services["duckwire"]
	if _, err := os.Stat(filepath.Join("deploy", ours.Build.Context, "Dockerfile")); err != nil {
		t.Error(err)
	}
	for name := range ours.Environment {
		if config.SettingsOf(&config.Config{}).ByEnv(name) == nil {
			t.Errorf("%s is no setting", name)
		}
	}
	if !strings.Contains(readDeploy(t, repository+"/.gitignore"), "cmd/duckwire/deploy/"+ours.EnvFile+"\n") {
		t.Errorf("%s holds secrets, and git does not leave it out", ours.EnvFile)
	}
	if grace, err := time.ParseDuration(ours.StopGrace); err != nil || grace <= 10*time.Second || !ours.ReadOnly {
		t.Errorf("%v, %v, %v", grace, err, ours.ReadOnly)
	}
	for _, name := range []string{"nginx", "redis"} {
		if !slices.Contains(file.Services[name].Profiles, name) {
			t.Errorf("%s starts without being asked for", name)
		}
	}
	mounted, _, _ := strings.Cut(file.Services["nginx"].Volumes[0], ":")
	if _, err := os.Stat(filepath.Join("deploy", mounted)); err != nil {
		t.Error(err)
	}
}

// TestNginx runs nginx with our configuration in front of a server, and examines it with the doctor.
func TestNginx(t *testing.T) {
	hubtest.Full(t, "nginx")
	t.Parallel()
	nginx := program(t, "nginx")
	a, err := buildServer(&config.Config{DataDir: t.TempDir(), JWTSecret: testSecret, BodyBytes: 8 << 20}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	a.ready.Store(true)
	srv := httptest.NewUnstartedServer(a.handler)
	srv.Config = httpserver.New(a.handler, quiet())
	srv.Start()
	addr := testnet.FreeAddr(t)
	startNginx(t, nginx, addr, srv.Listener.Addr().String())
	t.Cleanup(func() {
		a.close(quiet())
		srv.CloseClientConnections()
		srv.Close()
	})
	token, err := signToken(testSecret, tokenClaims{user: "doctor", caps: devCaps, ttl: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	r := &doctor.Report{}
	(&doctor.Remote{Base: "http://" + addr, Token: token, Transport: tr, Patience: hubtest.Hung}).Examine(t.Context(), r)
	if r.Level() != doctor.Fine {
		var b strings.Builder
		_ = r.WriteText(&b)
		t.Error(b.String())
	}
}

// startNginx runs nginx with deploy/nginx.conf at addr, in front of backend, until the test ends.
func startNginx(t *testing.T, nginx, addr, backend string) {
	t.Helper()
	dir := t.TempDir()
	addresses := strings.NewReplacer("listen 8080;", "listen "+addr+";", "server duckwire:4000;", "server "+backend+";")
	site := addresses.Replace(readDeploy(t, "deploy/nginx.conf"))
	conf := fmt.Sprintf("daemon off; pid %[1]s/pid; error_log %[1]s/error.log; events {}\n"+
		"http { access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; "+
		"fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n%[2]s}\n", dir, site)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // if the tests run as root, nginx's workers run as another user
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, nginx, "-p", dir, "-c", "nginx.conf")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // ends its workers, too
	cmd.WaitDelay = hubtest.Hung
	cmd.SysProcAttr = hubtest.ProcAttr()
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	hubtest.Until(t, "nginx to listen", func() bool {
		select {
		case err := <-ended:
			ended <- err
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("nginx ended: %v\n%s", err, testnet.Tail(said.String()+string(log)))
		default:
		}
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}
