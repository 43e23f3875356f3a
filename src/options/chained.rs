//! Structs of options: public fields, to which later versions may add, and a setter for each.

/// Makes a struct of options. Each field has a setter of its name and with its text, which takes
/// the options and gives them back, so that calls can be chained. A setter takes the field's type,
/// or what is given behind `as`: a type, and how the field's value is made of it.
macro_rules! chained {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                $(#[$doc:meta])*
                pub $field:ident: $type:ty $(as ($argument:ty => $value:expr))?,
            )*
        }
    ) => {
        $(#[$meta])*
        #[non_exhaustive]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $name {
            $(
                #[doc = concat!("Sets `", stringify!($field), "`.")]
                #[doc = ""]
                $(#[$doc])*
                #[must_use]
                pub fn $field(
                    mut self,
                    $field: $crate::options::chained::chained!(@argument $type $(, $argument)?),
                ) -> $name {
                    self.$field =
                        $crate::options::chained::chained!(@value $field $(, $value)?);
                    self
                }
            )*
        }

        #[cfg(test)]
        impl $crate::options::chained::Fields for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            fn field(&mut self, name: &str) -> &mut dyn std::any::Any {
                match name {
                    $(stringify!($field) => &mut self.$field,)*
                    _ => panic!("there is no option {name}"),
                }
            }
        }
    };
    (@argument $type:ty) => { $type };
    (@argument $type:ty, $argument:ty) => { $argument };
    (@value $field:ident) => { $field };
    (@value $field:ident, $value:expr) => { $value };
}

pub(crate) use chained;

/// The fields of options by name, for tests.
#[cfg(test)]
pub(crate) trait Fields {
    const NAMES: &'static [&'static str];

    fn field(&mut self, name: &str) -> &mut dyn std::any::Any;
}
