package interop_test
import ("testing";"time";"os")
func TestServeFixture(t *testing.T) {
	a := startFixture(t)
	os.WriteFile("/tmp/fixture.addr", []byte(a), 0o644)
	time.Sleep(20*time.Minute)
}
