export type Scale = "celsius" | "fahrenheit" | "kelvin";

const toKelvin: Record<Scale, (degrees: number) => number> = {
  celsius: (degrees) => degrees + 273.15,
  fahrenheit: (degrees) => ((degrees - 32) * 5) / 9 + 273.15,
  kelvin: (degrees) => degrees,
};

const fromKelvin: Record<Scale, (kelvin: number) => number> = {
  celsius: (kelvin) => kelvin - 273.15,
  fahrenheit: (kelvin) => ((kelvin - 273.15) * 9) / 5 + 32,
  kelvin: (kelvin) => kelvin,
};

/** The same temperature on another scale; RangeError below absolute zero. */
export function convert(degrees: number, from: Scale, to: Scale): number {
  const kelvin = toKelvin[from](degrees);
  if (kelvin < 0) {
    throw new RangeError(`${degrees} ${from} is below absolute zero`);
  }
  return Math.round(fromKelvin[to](kelvin) * 100) / 100;
}
