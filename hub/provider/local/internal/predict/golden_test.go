package predict

import (
	"context"
	"strings"
	"testing"
)

// golden are the main use cases of the completer. The cursor is at the end of prefix.
var golden = []struct {
	name, prefix, suffix, want string
}{
	{
		name: "a test case seen three times",
		prefix: "func Test(t *testing.T) {\n\tif got := add(1, 2); got != 3 {\n\t\tt.Errorf(\"got %d\", got)\n\t}\n" +
			"\tif got := add(2, 2); got != 4 {\n\t\tt.Errorf(\"got %d\", got)\n\t}\n\tif got := add(3, 2); got != 5 " +
			"{\n\t\tt.Errorf(\"got %d\", got)\n\t}\n\tif got := sub(9, 7); got != 2 {",
		suffix: "\n}\n",
		want:   "\n\t\tt.Errorf(\"got %d\", got)\n\t}",
	},
	{
		name:   "an enum with numbers in its names",
		prefix: "const (\n\tFoo1 = 1\n\tFoo2 = 2\n\tFoo3 = 3\n\tFoo",
		suffix: "\n)\n",
		want:   "4 = 4",
	},
	{
		name:   "a switch that counts",
		prefix: "switch n {\ncase 1:\n\treturn \"n1\"\ncase 2:\n\treturn \"n2\"\ncase 3:\n\treturn \"n3\"\n",
		suffix: "\n}\n",
		want:   "case 4:\n\treturn \"n4\"",
	},
	{
		name: "a switch over an enum that is declared above",
		prefix: "type Color int\n\nconst (\n\tRed Color = iota\n\tGreen\n\tBlue\n\tYellow\n\tBlack\n\tWhite\n)\n\n" +
			"func (c Color) String() string {\n\tswitch c {\n\tcase Red:\n\t\treturn \"Red\"\n\tcase Green:\n" +
			"\t\treturn \"Green\"\n\tcase Blue:\n\t\treturn \"Blue\"\n\tcase Yellow:\n\t\treturn \"Yellow\"\n" +
			"\tcase",
		suffix: "\n\t}\n\treturn \"\"\n}\n",
		want:   " Black:\n\t\treturn \"Black\"\n\tcase White:\n\t\treturn \"White\"",
	},
	{
		name: "a struct copied field by field",
		prefix: "type T struct {\n\tName string\n\tSize int\n\tMode int\n\tTime int\n\tUser string\n}\n\nfunc " +
			"copyT(dst, src *T) {\n\tdst.Name = src.Name\n\tdst.Size = src.Size\n\tdst.Mode = src.Mode\n\tdst.Time",
		suffix: "\n}\n",
		want:   " = src.Time\n\tdst.User = src.User",
	},
	{
		name: "an import block",
		prefix: "package a\n\nimport (\n\t\"context\"\n\t\"errors\"\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc f() {}\n\n// -- " +
			"b.go --\npackage a\n\nimport (\n\t\"context\"\n\t\"errors\"\n\t\"fmt\"\n",
		want: "\t\"os\"\n)",
	},
	{
		name: "rows of a table",
		prefix: "tests := []struct {\n\tname string\n\tin, want int\n}{\n\t{name: \"one\", in: 1, want: 10},\n" +
			"\t{name: \"two\", in: 2, want: 20},\n\t{name: \"three\", in: 3, want: 30},\n\t{name: \"four\", in",
		suffix: "\n}\n",
		want:   ": 4, want: 40},",
	},
	{
		name: "an idiom with other names",
		prefix: "\tconfig, err := loadConfig(ctx)\n\tif err != nil {\n\t\treturn fmt.Errorf(\"loadConfig: %w\", " +
			"err)\n\t}\n\tschema, err := loadSchema(ctx)\n\tif err != nil {\n\t\treturn fmt.Errorf(\"loadSchema: " +
			"%w\", err)\n\t}\n\ttokens, err := loadTokens(ctx)\n\tif err",
		suffix: "\n}\n",
		want:   " != nil {\n\t\treturn fmt.Errorf(\"loadTokens: %w\", err)\n\t}",
	},
	{
		name: "a method with other names",
		prefix: method("User", "user") + method("Order", "order") + method("Invoice", "invoice") +
			"func (s *Server) GetPayment(id int) (*Payment, error) {\n\tpayment, err",
		want: " := s.store.FindPayment(id)\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\treturn payment, nil\n}",
	},
	{
		name: "the rest of the line stands after the cursor",
		prefix: "\tm.Lock(1)\n\tuse(m, 1)\n\tm.Unlock(1)\n\tm.Lock(2)\n\tuse(m, 2)\n\tm.Unlock(2)\n\tm.Lock(3)\n" +
			"\tuse(m",
		suffix: ")\n\tm.Unlock(3)\n",
		want:   ", 3",
	},
	{
		name: "the block stands after the cursor",
		prefix: "\tif err := a(1); err != nil {\n\t\treturn err\n\t}\n\tif err := a(2); err != nil {\n\t\treturn " +
			"err\n\t}\n\tif err := a(3); err",
		suffix: "\n\t\tlog.Print(err)\n\t}\n",
		want:   " != nil {",
	},
	{
		name:   "a row of zeros, which could go on for ever",
		prefix: "\tx := []byte{0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,",
		want:   " 0x00, 0x00,",
	},
	{
		name:   "the next line stands after the cursor",
		prefix: "\tm.Lock(1)\n\tuse(m, 1)\n\tm.Unlock(1)\n\tm.Lock(2)\n\tuse(m, 2)\n\tm.Unlock(2)\n\tm.Lock(3)\n\tuse",
		suffix: "\n\tm.Unlock(3)\n",
		want:   "(m, 3)",
	},
	{
		name: "Python",
		prefix: "class Shop:\n    def get_apple(self):\n        self.log(\"apple\")\n        return self.apple\n\n" +
			"    def get_pear(self):\n        self.log(\"pear\")\n        return self.pear\n\n" +
			"    def get_plum(self):\n",
		want: "        self.log(\"plum\")\n        return self.plum",
	},
	{
		name: "JavaScript",
		prefix: "app.get('/users', async (req, res) => {\n  const users = await db.users.findAll();\n" +
			"  res.json(users);\n});\n\napp.get('/orders', async (req, res) => {\n  const orders = await " +
			"db.orders.findAll();\n  res.json(orders);\n});\n\napp.get('/items', async",
		want: " (req, res) => {\n  const items = await db.items.findAll();\n  res.json(items);\n});",
	},
	{name: "prose", prefix: "It was the best of times, it was the worst of", want: ""},
	{name: "nothing", prefix: "", want: ""},
}

func method(typ, name string) string {
	return strings.NewReplacer("User", typ, "user", name).Replace("" +
		"func (s *Server) GetUser(id int) (*User, error) {\n" +
		"\tuser, err := s.store.FindUser(id)\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\treturn user, nil\n}\n\n")
}

func run(t testing.TB, r Request) string {
	t.Helper()
	c, err := New(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for {
		line, err := c.Line(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if line == nil {
			return b.String()
		}
		b.WriteString(strings.Join(line, ""))
	}
}

func TestGolden(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			if got := run(t, Request{Prefix: tt.prefix, Suffix: tt.suffix}); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestCancel checks that work stops when the context ends.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c, err := New(ctx, Request{Prefix: golden[2].prefix})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if line, err := c.Line(ctx); err != context.Canceled || line != nil {
		t.Errorf("Line: %q, %v", line, err)
	}
	if _, err := New(ctx, Request{Prefix: golden[2].prefix}); err != context.Canceled {
		t.Errorf("New: %v", err)
	}
}
