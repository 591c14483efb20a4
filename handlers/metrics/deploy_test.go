package metrics_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/duckwire/duckwire/handlers/metrics"
)

const deploy = "../../cmd/duckwire/deploy/"

// known returns the names of all metrics, and of the three series of each histogram, with their labels.
func known() map[string][]string {
	describe := make(chan *prometheus.Desc)
	go func() {
		defer close(describe)
		metrics.NewRegistry(metrics.Source{}).Describe(describe)
	}()
	form := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	all := map[string][]string{"up": nil}
	for d := range describe {
		m := form.FindStringSubmatch(d.String())
		labels := strings.FieldsFunc(m[2], func(c rune) bool { return c == ',' || c == ' ' })
		all[m[1]] = labels
		if !strings.HasSuffix(m[1], "_total") {
			all[m[1]+"_count"], all[m[1]+"_sum"], all[m[1]+"_bucket"] = labels, labels, append([]string{"le"}, labels...)
		}
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(?:duckwire|go|process|up)(?:_\w+|\b)`)
	selector   = regexp.MustCompile(`(\w+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	grouping   = regexp.MustCompile(`\b(?:by|ignoring) \(([^)]*)\)`)
	quoted     = regexp.MustCompile(`"[^"]*"`)
)

// checkQuery checks that a query's metrics and labels exist. It returns how many metrics it names.
func checkQuery(t *testing.T, where, query string, all map[string][]string) int {
	t.Helper()
	ofTarget := []string{"instance", "job"} // set by Prometheus itself
	bare := quoted.ReplaceAllString(query, `""`)
	names := metricName.FindAllString(bare, -1)
	for _, name := range names {
		if _, ok := all[name]; !ok {
			t.Errorf("%s: there is no metric %q: %s", where, name, query)
		}
	}
	for _, m := range selector.FindAllStringSubmatch(bare, -1) {
		for _, label := range labelName.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(all[m[1]], label[1]) && !slices.Contains(ofTarget, label[1]) {
				t.Errorf("%s: %s has no label %q: %s", where, m[1], label[1], query)
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(bare, -1) {
		for label := range strings.SplitSeq(m[1], ", ") {
			has := slices.Contains(ofTarget, label)
			for _, name := range names {
				has = has || slices.Contains(all[name], label)
			}
			if !has {
				t.Errorf("%s: no metric has the label %q: %s", where, label, query)
			}
		}
	}
	return len(names)
}

// TestDashboard: the dashboard only queries metrics that exist, describes each panel, and shows every metric.
func TestDashboard(t *testing.T) {
	raw, err := os.ReadFile(deploy + "grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID                       int
			Type, Title, Description string
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	all, ids := known(), map[int]bool{}
	var shown strings.Builder
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s: its id is taken", p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d: %q, %q, %d queries", p.ID, p.Title, p.Description, len(p.Targets))
		}
		for _, target := range p.Targets {
			if checkQuery(t, p.Title, target.Expr, all) == 0 {
				t.Errorf("%s: %q names no metric", p.Title, target.Expr)
			}
			shown.WriteString(target.Expr + "\n")
		}
	}
	shown.Write(raw) // variables and annotations
	for name := range all {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum"), "_bucket")
		if strings.HasPrefix(name, "duckwire_") && !strings.Contains(shown.String(), base) {
			t.Errorf("%s is not on the dashboard", base)
		}
	}
}

// TestAlerts: every alert queries metrics that exist, and describes its urgency and the first steps.
func TestAlerts(t *testing.T) {
	raw, err := os.ReadFile(deploy + "alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(raw)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	all, seen := known(), map[string]bool{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if seen[rule.Alert] || !strings.HasPrefix(rule.Alert, "Duckwire") {
				t.Errorf("%q is there twice, or is no name of ours", rule.Alert)
			}
			seen[rule.Alert] = true
			if checkQuery(t, rule.Alert, rule.Expr, all) == 0 {
				t.Errorf("%s names no metric", rule.Alert)
			}
			if s := rule.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s: severity %q", rule.Alert, s)
			}
			for _, what := range []string{"summary", "why", "do"} {
				if rule.Annotations[what] == "" {
					t.Errorf("%s has no %q", rule.Alert, what)
				}
			}
		}
	}
	if len(seen) == 0 {
		t.Error("no alerts")
	}
}
