package predict

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func TestSmoke(t *testing.T) {
	for _, p := range []string{
		"switch k {\ncase 1:\n\treturn \"one\"\ncase 2:\n\treturn \"two\"\ncase 3:\n\treturn \"three\"\n",
		"const (\n\tFoo1 = 1\n\tFoo2 = 2\n\tFoo3 = 3\n\tFoo",
		"a.Name = b.Name\na.Size = b.Size\na.Mode = b",
		"x, err := doX(1)\nif err != nil {\n\treturn fmt.Errorf(\"doX: %w\", err)\n}\ny, err := doY(1)\nif err",
	} {
		c, _ := New(context.Background(), Request{Prefix: p})
		var out []string
		for {
			l, _ := c.Line(context.Background())
			if l == nil {
				break
			}
			out = append(out, l...)
		}
		fmt.Printf("%s«%s» sure %.2f warm %.2f\n----\n", p, strings.Join(out, ""), c.sure, c.warm)
	}
}
