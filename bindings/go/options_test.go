package fanfare

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// documented is a row of docs/options.md, by the names that options have here.
type documented struct {
	kind, bounds, preset string
}

// table has the engine's options that are numbers.
func table(t *testing.T) map[string]documented {
	t.Helper()
	text, err := os.ReadFile("../../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	_, engine, _ := strings.Cut(string(text), "## The engine")
	engine, _, _ = strings.Cut(engine, "\n## ")
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (count|bytes|time|percent) \\| (.*?) \\| (.*?) \\|")
	other := regexp.MustCompile("`(\\w+)`")
	options := make(map[string]documented)
	for _, r := range row.FindAllStringSubmatch(engine, -1) {
		bounds := other.ReplaceAllStringFunc(r[3], func(name string) string {
			return goName(strings.Trim(name, "`"))
		})
		options[goName(r[1])] = documented{kind: r[2], bounds: bounds, preset: r[4]}
	}
	if len(options) == 0 {
		t.Fatal("docs/options.md has no table of the engine's options")
	}
	return options
}

// What a unit is in the ABI's units, which are milliseconds and bytes.
var units = map[string]int64{
	"": 1, "ms": 1, "s": 1000, "min": 60_000, "hour": 3_600_000, "day": 86_400_000,
	"byte": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}

// amount is a number with its unit, or the default of the option that is named.
func amount(t *testing.T, options map[string]documented, text string) int64 {
	t.Helper()
	if option, ok := options[text]; ok {
		return amount(t, options, option.preset)
	}
	digits, unit, _ := strings.Cut(text, " ")
	scale, ok := units[unit]
	if !ok {
		scale, ok = units[strings.TrimSuffix(unit, "s")]
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, ",", ""), 10, 64)
	if err != nil || !ok {
		t.Fatalf("%q is no amount", text)
	}
	return n * scale
}

// beyond are the nearest numbers that are out of bounds. None is below zero, which stands for zero.
func beyond(t *testing.T, options map[string]documented, bounds string) []int64 {
	t.Helper()
	if bounds == "any" {
		return nil
	}
	if most, ok := strings.CutPrefix(bounds, "at most "); ok {
		return []int64{amount(t, options, most) + 1}
	}
	if least, ok := strings.CutPrefix(bounds, "at least "); ok {
		return []int64{amount(t, options, least) - 1}
	}
	low, high, _ := strings.Cut(strings.TrimPrefix(bounds, "0, or "), " to ")
	numbers := []int64{amount(t, options, high) + 1}
	if n := amount(t, options, low) - 1; n >= 0 {
		numbers = append(numbers, n)
	}
	return numbers
}

// with sets one option, in the ABI's unit; zero is said by a negative number.
func with(name string, n int64) *Options {
	options := new(Options)
	field := reflect.ValueOf(options).Elem().FieldByName(name)
	switch {
	case n == 0:
		field.SetInt(-1)
	case field.Type() == reflect.TypeFor[time.Duration]():
		field.SetInt(n * int64(time.Millisecond))
	default:
		field.SetInt(n)
	}
	return options
}

// names are the options that are numbers.
func names() (fields []string) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Options]()) {
		switch field.Name {
		case "HeartbeatForm", "Policy", "GapEvent", "DataDir", "Durability", "ClusterURL", "ClusterPrefix",
			"ClusterCAFile", "Logger":
		default:
			fields = append(fields, field.Name)
		}
	}
	return fields
}

func TestThereIsAFieldForEachNumberInTheDocumentAndFieldOfTheHeader(t *testing.T) {
	// It is a flag, and none of the numbers that asC has.
	want, inC := map[string]bool{"AnyHost": true}, map[string]bool{"AnyHost": true}
	for name := range table(t) {
		want[name] = true
	}
	for field := range (*Options)(nil).asC() {
		inC[goName(field)] = true
	}
	here := make(map[string]bool)
	for _, name := range names() {
		here[name] = true
	}
	if !reflect.DeepEqual(here, want) || !reflect.DeepEqual(here, inC) {
		t.Errorf("here are %v, in the document %v, in the header %v", here, want, inC)
	}
}

func TestDefaultsAreAsDocumentedAndWhatIsSetIsPassedOn(t *testing.T) {
	options := table(t)
	defaults := (*Options)(nil).asC()
	for field, value := range defaults {
		name := goName(field)
		option, ok := options[name]
		if !ok {
			continue
		}
		if name == "Shards" {
			if value < 1 || value > 256 {
				t.Errorf("the default of Shards is %d", value)
			}
		} else if want := amount(t, options, option.preset); value != uint64(want) {
			t.Errorf("the default of %s is %d, not %d", name, value, want)
		}
		for _, n := range []int64{0, 77} {
			for other, got := range with(name, n).asC() {
				want := defaults[other]
				if other == field {
					want = uint64(n)
				}
				if got != want {
					t.Errorf("with %s of %d, %s is %d, not %d", name, n, other, got, want)
				}
			}
		}
	}
}

func TestANumberOutOfItsDocumentedBoundsIsRefusedByName(t *testing.T) {
	options := table(t)
	for name, option := range options {
		for _, n := range beyond(t, options, option.bounds) {
			_, err := New(with(name, n))
			// Of two options that bound each other the error names either.
			named := err != nil && strings.Contains(err.Error(), "the option "+name+" is out of bounds")
			for other := range options {
				named = named || err != nil && strings.Contains(option.bounds, other) &&
					strings.Contains(err.Error(), "the option "+other+" is out of bounds")
			}
			if !errors.Is(err, ErrOptions) || !named {
				t.Errorf("%s of %d: %v", name, n, err)
			}
		}
	}
	_, err := New(&Options{Shards: 257})
	if want := "fanfare: the option Shards is out of bounds: it may be 1 to 256"; err == nil || err.Error() != want {
		t.Errorf("the error is %v, not %s", err, want)
	}
}

func TestTheCommentsHaveTheDocumentedBoundsAndDefaults(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "options.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := make(map[string]string)
	ast.Inspect(file, func(node ast.Node) bool {
		if field, ok := node.(*ast.Field); ok && len(field.Names) == 1 {
			comments[field.Names[0].Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
		}
		return true
	})
	for name, option := range table(t) {
		want := "Bounds: " + option.bounds + ". Default: " + option.preset + "."
		if !strings.HasSuffix(comments[name], want) {
			t.Errorf("the comment of %s is %q, and has no %q", name, comments[name], want)
		}
	}
}
