package pkg

import "debug/elf"

// An Arch is one of OpenWrt's names of an architecture, and the program built for it.
type Arch struct {
	Name    string
	Target  string // as hack/cross.sh names it
	Machine elf.Machine
	Class   elf.Class
	Data    elf.Data
}

// Arches are those of the common devices. An ARM core without a floating point unit in its name gets code without
// (GOARM=5); MIPS always does: the routers have none, and Go cannot mix.
func Arches() []Arch {
	var list []Arch
	add := func(target string, m elf.Machine, c elf.Class, d elf.Data, names ...string) {
		for _, n := range names {
			list = append(list, Arch{n, target, m, c, d})
		}
	}
	const small, big, le, be = elf.ELFCLASS32, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFDATA2MSB
	add("arm64", elf.EM_AARCH64, big, le, "aarch64_cortex-a53", "aarch64_cortex-a72", "aarch64_cortex-a76", "aarch64_generic")
	add("arm-7", elf.EM_ARM, small, le, "arm_cortex-a15_neon-vfpv4", "arm_cortex-a5_vfpv4", "arm_cortex-a7_neon-vfpv4",
		"arm_cortex-a8_vfpv3", "arm_cortex-a9_neon", "arm_cortex-a9_vfpv3-d16")
	add("arm-6", elf.EM_ARM, small, le, "arm_arm1176jzf-s_vfp")
	add("arm-5", elf.EM_ARM, small, le, "arm_arm926ej-s", "arm_cortex-a7", "arm_cortex-a9", "arm_fa526", "arm_xscale")
	add("mipsle-soft", elf.EM_MIPS, small, le, "mipsel_24kc", "mipsel_24kc_24kf", "mipsel_74kc", "mipsel_mips32")
	add("mips-soft", elf.EM_MIPS, small, be, "mips_24kc", "mips_mips32")
	add("mips64-soft", elf.EM_MIPS, big, be, "mips64_mips64r2", "mips64_octeonplus")
	add("mips64le-soft", elf.EM_MIPS, big, le, "mips64el_mips64r2")
	add("amd64", elf.EM_X86_64, big, le, "x86_64")
	add("386-sse2", elf.EM_386, small, le, "i386_pentium4")
	add("386-soft", elf.EM_386, small, le, "i386_pentium-mmx")
	add("riscv64", elf.EM_RISCV, big, le, "riscv64_generic")
	add("loong64", elf.EM_LOONGARCH, big, le, "loongarch64_generic")
	return list
}

// A DebArch is a Debian architecture of the servers' package.
type DebArch struct{ Name, Target string }

// DebArches are the architectures that servers have.
func DebArches() []DebArch {
	return []DebArch{{"amd64", "amd64"}, {"arm64", "arm64"}, {"armhf", "arm-7"}, {"riscv64", "riscv64"}}
}
